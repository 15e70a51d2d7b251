package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

// execute runs command while the servers are up that the environment does not give, and returns its exit status.
// Signals are forwarded to it.
//
// The servers belong to a process of their own, so that they end even if this one is killed.
func execute(ctx context.Context, command []string) (status int, err error) {
	names, err := missing(os.Getenv)
	if err != nil {
		return 0, err
	}

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	env := os.Environ()
	if len(names) > 0 {
		self, err := os.Executable()
		if err != nil {
			return 0, err
		}
		serve := exec.Command(self, append([]string{"serve"}, names...)...)
		serve.Stderr = os.Stderr
		// In a process group of its own, so that Ctrl-C does not take the servers from a command that is still ending.
		serve.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		program, err := servers.Start(ctx, serve)
		if err != nil {
			return 0, err
		}
		defer program.Close()
		for name, value := range program.Started.Environment {
			env = append(env, name+"="+value)
		}
		for _, description := range program.Started.Servers {
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

// missing returns the names of the servers whose addresses are not in the environment.
func missing(getenv func(string) string) ([]string, error) {
	var names []string
	if getenv(servers.DatabaseURL) == "" {
		names = append(names, "postgres")
	}
	if getenv(servers.AMQPURL) == "" {
		names = append(names, "rabbitmq")
	}
	if len(names) > 0 && getenv(servers.Source) == servers.FromEnvironment {
		return nil, fmt.Errorf("%s=%s, but %s or %s is not set",
			servers.Source, servers.FromEnvironment, servers.DatabaseURL, servers.AMQPURL)
	}
	return names, nil
}
