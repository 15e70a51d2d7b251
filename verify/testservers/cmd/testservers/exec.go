package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// execWith runs command while the servers it needs are up, and returns its exit status. Signals are passed on to it.
//
// The servers belong to a process of their own, tied to this one by a pipe: should this one be killed, they end too.
func execWith(ctx context.Context, command []string) (status int, err error) {
	names, err := missing(os.Getenv)
	if err != nil {
		return 0, err
	}

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	env := os.Environ()
	if len(names) > 0 {
		started, stop, err := spawnServe(ctx, names)
		if err != nil {
			return 0, err
		}
		defer stop()
		for name, value := range started.Environment {
			env = append(env, name+"="+value)
		}
		for _, description := range started.Servers {
			fmt.Fprintln(os.Stderr, "testservers:", description)
		}
	}

	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdin, os.Stdout, os.Stderr, env
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				_ = cmd.Process.Signal(s)
			case <-done:
				return
			}
		}
	}()
	err = cmd.Wait()
	close(done)

	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// missing names the servers whose address the environment does not give.
func missing(getenv func(string) string) ([]string, error) {
	var names []string
	if getenv(envDatabase) == "" {
		names = append(names, "postgres")
	}
	if getenv(envAMQP) == "" {
		names = append(names, "rabbitmq")
	}
	if len(names) > 0 && getenv(envWay) == "env" {
		return nil, fmt.Errorf("%s=env, but %s or %s is not set", envWay, envDatabase, envAMQP)
	}
	return names, nil
}

// spawnServe starts "testservers serve" and waits for its servers. stop ends them and waits until they are gone.
func spawnServe(ctx context.Context, names []string) (started reply, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return reply{}, nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"serve"}, names...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the command, which may want its servers to the end.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return reply{}, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return reply{}, nil, err
	}
	if err := cmd.Start(); err != nil {
		return reply{}, nil, err
	}
	stop = func() {
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &started)
	}
	if err != nil {
		stop()
		return reply{}, nil, errors.New("the servers did not start")
	}
	if started.Error != "" {
		stop()
		return reply{}, nil, errors.New(started.Error)
	}
	return started, stop, nil
}
