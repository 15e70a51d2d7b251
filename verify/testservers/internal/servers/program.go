package servers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// The commands that "testservers serve" reads from its standard input, one a line.
const (
	CommandStop  = "stop"  // shut the servers down in order
	CommandKill  = "kill"  // end the servers at once, as a crash would
	CommandStart = "start" // start the stopped servers on their old ports with their old data
)

// A Reply is a line of JSON that "testservers serve" writes: the first when its servers are up, then one for each
// command.
type Reply struct {
	Error       string            `json:"error,omitempty"`
	Environment map[string]string `json:"environment,omitempty"` // addresses of the servers, by the variables for them
	Servers     []string          `json:"servers,omitempty"`     // descriptions for people
}

// A Program is a running "testservers serve". It ends when its standard input does, so its servers never outlive the
// process that started it, even if that process is killed.
type Program struct {
	Started Reply // the first reply

	mu      sync.Mutex // one command at a time
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	replies chan Reply
	stderr  Tail
}

// Start runs cmd, a "testservers serve", and blocks until its servers are up. ctx bounds that wait only.
func Start(ctx context.Context, cmd *exec.Cmd) (*Program, error) {
	p := &Program{cmd: cmd, replies: make(chan Reply)}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.stderr
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.stdin = stdin
	go p.read(stdout)

	p.Started, err = p.receive(ctx)
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// read delivers the program's lines until it ends, and then closes the channel.
func (p *Program) read(stdout io.Reader) {
	defer close(p.replies)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var r Reply
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			r.Error = "unexpected output: " + lines.Text()
		}
		p.replies <- r
	}
}

func (p *Program) receive(ctx context.Context) (Reply, error) {
	select {
	case r, open := <-p.replies:
		if !open {
			return Reply{}, fmt.Errorf("the program that starts servers ended: %s", &p.stderr)
		}
		if r.Error != "" {
			return Reply{}, errors.New(r.Error)
		}
		return r, nil
	case <-ctx.Done():
		return Reply{}, fmt.Errorf("the program that starts servers: %w: %s", ctx.Err(), &p.stderr)
	}
}

// Do sends one of the commands [CommandStop], [CommandKill] and [CommandStart], and blocks until it is carried out.
func (p *Program) Do(ctx context.Context, command string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := io.WriteString(p.stdin, command+"\n"); err != nil {
		return fmt.Errorf("%w: %s", err, &p.stderr)
	}
	_, err := p.receive(ctx)
	return err
}

// Close stops the servers, deletes their data, and blocks until both are done.
func (p *Program) Close() {
	_ = p.stdin.Close()
	for range p.replies { // until the program ends
	}
	_ = p.cmd.Wait()
}

// A Tail keeps the last part of a program's output, for error messages. It is safe for concurrent use.
type Tail struct {
	mu   sync.Mutex
	data []byte
}

const tailSize = 4 << 10

// Write never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if excess := len(t.data) - tailSize; excess > 0 {
		t.data = append(t.data[:0], t.data[excess:]...)
	}
	return len(p), nil
}

// String returns what was kept, without white space around it.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.data))
}
