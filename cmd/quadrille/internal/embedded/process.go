package embedded

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
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// TemporaryFlag is the flag of quadrille up for a stack that ends with the process that started it; see UntilEOF.
const TemporaryFlag = "temporary-with-stdin"

// Process is quadrille up in a process of its own, which can be killed and started again. Every start has the same
// addresses and data. The stack ends together with this process, however that ends, and then deletes its data.
type Process struct {
	program, dir string
	environ      []string

	mu      sync.Mutex
	running *exec.Cmd
	stdin   io.Closer
	stack   Description // of the first start
}

// StartProcess starts this program again as quadrille up, on free ports, with a temporary folder, and with environ as its
// environment. It blocks until the stack is ready. Close the process.
func StartProcess(ctx context.Context, environ []string) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "quadrille-demo-")
	if err != nil {
		return nil, err
	}
	p := &Process{program: program, dir: dir, environ: environ}
	if err := p.Start(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Stack describes the running stack.
func (p *Process) Stack() Description { return p.stack }

// Start starts the stack, unless it is running, and blocks until it is ready or ctx has ended.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		return nil
	}
	logs, err := os.OpenFile(filepath.Join(p.dir, "stack.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logs.Close()
	args := []string{"up", "--json", "--free-ports", "--data", filepath.Join(p.dir, "data"), "--" + TemporaryFlag, p.dir}
	for flag, address := range p.stack.Addresses {
		args = append(args, "--"+flag, address)
	}
	cmd := exec.Command(p.program, args...) //nolint:noctx // once it is ready, only Kill and Close end it
	cmd.Env = p.environ
	cmd.Stderr = logs
	in, err := cmd.StdinPipe() // which closes with this process
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the stack: %w", err)
	}
	killAtEnd := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // it may have ended
	line, err := bufio.NewReader(out).ReadBytes('\n')
	killAtEnd()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = json.Unmarshal(line, &p.stack)
	}
	if err != nil {
		ended := errors.Join(cmd.Process.Kill(), cmd.Wait())
		if ctx.Err() != nil {
			return errors.New("stopped")
		}
		output, _ := os.ReadFile(logs.Name())
		return fmt.Errorf("the stack did not start: %w: %s", errors.Join(err, ended), output)
	}
	p.running, p.stdin = cmd, in
	return nil
}

// Kill ends the stack without warning, as kill -9 does.
func (p *Process) Kill(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return nil
	}
	if err := p.running.Process.Kill(); err != nil {
		return fmt.Errorf("kill the stack: %w", err)
	}
	_ = p.running.Wait() // its error is that it was killed
	p.running = nil
	return nil
}

// Close stops the stack and deletes its data. The stack completes both even if this process is killed during Close.
func (p *Process) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		stack := p.running
		_ = p.stdin.Close()
		late := time.AfterFunc(10*time.Second, func() { _ = stack.Process.Kill() }) // its data is no longer needed
		_ = stack.Wait()                                                            // however it ended
		late.Stop()
		p.running = nil
	}
	_ = os.RemoveAll(p.dir) // unless the stack has deleted it
}

// UntilEOF binds a stack to the process at the other end of in, see Process. The context ends when in closes, and end then
// deletes dir. Ctrl-C and a terminal that closes have no effect: they are for the other process, which may still need the
// stack.
func UntilEOF(ctx context.Context, in io.Reader, dir string) (_ context.Context, end func()) {
	signal.Ignore(os.Interrupt, syscall.SIGHUP, syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(ctx)
	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in) // the other process writes nothing
		close(closed)
		cancel()
	}()
	return ctx, func() {
		cancel()
		select {
		case <-closed:
			_ = os.RemoveAll(dir) // the process that could report an error has ended
		default:
		}
	}
}
