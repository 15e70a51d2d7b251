package main

import (
	"bytes"
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
	"sync"
	"syscall"
)

// A process is a program that runs as long as we do, at most.
type process struct {
	cmd    *exec.Cmd
	output *tail
	done   chan struct{} // closed when it has ended
}

// startProcess starts cmd in a process group of its own, so that Ctrl-C does not reach it. Where the system can do
// it, the program is sent deathSignal should this process be killed.
func startProcess(cmd *exec.Cmd, owner *syscall.Credential, deathSignal syscall.Signal) (*process, error) {
	p := &process{cmd: cmd, output: &tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: owner}
	dieWithParent(cmd.SysProcAttr, deathSignal)

	started := make(chan error, 1)
	go func() {
		// The death signal is tied to the thread that started the child: keep it until the child has ended.
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

// end sends the process a signal and waits for its end; ctx bounds the wait. A nil process has ended.
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
		return fmt.Errorf("%s does not end: %w", filepath.Base(p.cmd.Path), ctx.Err())
	}
}

// tail keeps the last part of a program's output, for error messages. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	data []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if excess := len(t.data) - tailSize; excess > 0 {
		t.data = append(t.data[:0], t.data[excess:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.data))
}

// unprivileged finds the user that servers run as when we are root: the first of names that exists. For anybody
// else it is nil, for themselves.
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
	return nil, fmt.Errorf("servers do not run as root, and there is no user %s", strings.Join(names, " or "))
}

// tempPrefix begins the name of every temporary folder; the process id of its owner follows.
const tempPrefix = "quadrille-testservers-"

// tempFolder makes a folder that belongs to owner.
func tempFolder(owner *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp("", tempPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return "", err
	}
	if owner != nil {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// removeLeftovers deletes what earlier processes left because they were killed.
func removeLeftovers(ctx context.Context) {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"*"))
	for _, folder := range folders {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), tempPrefix), "-")
		if !alive(pid) {
			_ = os.RemoveAll(folder)
		}
	}
	removeLeftContainers(ctx)
}

// alive says whether a process has that id. An id that is none counts as alive: it is not ours to judge.
func alive(pid string) bool {
	id, err := strconv.Atoi(pid)
	return err != nil || id <= 0 || !errors.Is(syscall.Kill(id, 0), syscall.ESRCH)
}
