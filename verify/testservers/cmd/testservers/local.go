package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

// A process is a running program of this machine. It ends with this process at the latest.
type process struct {
	cmd    *exec.Cmd
	output *servers.Tail
	done   chan struct{} // closed when it has ended
}

// startProcess starts cmd as owner, in a process group of its own, so that Ctrl-C does not reach it. On Linux, the
// program receives deathSignal if this process is killed.
func startProcess(cmd *exec.Cmd, owner *syscall.Credential, deathSignal syscall.Signal) (*process, error) {
	p := &process{cmd: cmd, output: &servers.Tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: owner}
	setDeathSignal(cmd.SysProcAttr, deathSignal)

	started := make(chan error, 1)
	go func() {
		// Linux sends the death signal when the thread that started the program ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// stopped reports whether the process has ended.
func (p *process) stopped(context.Context) bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end sends the process a signal and blocks until it has ended. A nil process has.
func (p *process) end(ctx context.Context, signal syscall.Signal) error {
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s has not ended: %w", filepath.Base(p.cmd.Path), ctx.Err())
	}
}

// unprivileged returns the user that servers run as if this process is root: the first of names that exists. It returns
// nil for any other user, which servers then run as themselves.
func unprivileged(names ...string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("servers cannot run as root, and there is no user %s", strings.Join(names, " or "))
}

// dataFolder creates a temporary folder that belongs to owner.
func dataFolder(owner *syscall.Credential) (string, error) {
	folder, err := os.MkdirTemp("", "")
	if err == nil && owner != nil {
		err = os.Chown(folder, int(owner.Uid), int(owner.Gid))
	}
	return folder, err
}
