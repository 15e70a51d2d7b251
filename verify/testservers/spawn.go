package testservers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// spawnTimeout bounds the start of a server: the command is compiled, images or packages may be fetched.
	spawnTimeout = 5 * time.Minute
	// commandTimeout bounds stopping and starting a server that exists.
	commandTimeout = 2 * time.Minute
)

// spawned is a "testservers serve" process. The pipe to its standard input is what keeps its server alive.
type spawned struct {
	environment map[string]string

	mu      sync.Mutex // one command at a time
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers chan answer
	stderr  *output
}

// answer is a line that the process writes: see verify/testservers.
type answer struct {
	Error       string            `json:"error"`
	Environment map[string]string `json:"environment"`
}

// spawn starts the named server and waits until it is up.
func spawn(ctx context.Context, name string) (*spawned, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	s := &spawned{
		cmd:     exec.Command("go", "run", "-C", filepath.Join(root, "verify", "testservers"), "./cmd/testservers", "serve", name),
		answers: make(chan answer),
		stderr:  &output{},
	}
	s.cmd.Env = append(os.Environ(), "GOWORK=off")
	s.cmd.Stderr = s.stderr
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting verify/testservers: %w", err)
	}
	go s.read(stdout)

	ctx, cancel := context.WithTimeout(ctx, spawnTimeout)
	defer cancel()
	first, err := s.receive(ctx)
	if err != nil {
		s.end()
		return nil, err
	}
	s.environment = first.Environment
	return s, nil
}

// read delivers the process's lines until it ends, and then ends the channel.
func (s *spawned) read(stdout io.Reader) {
	defer close(s.answers)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			a.Error = "unexpected output: " + lines.Text()
		}
		s.answers <- a
	}
}

func (s *spawned) receive(ctx context.Context) (answer, error) {
	select {
	case a, open := <-s.answers:
		if !open {
			return a, fmt.Errorf("verify/testservers ended: %s", s.stderr)
		}
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-ctx.Done():
		return answer{}, fmt.Errorf("verify/testservers: %w: %s", ctx.Err(), s.stderr)
	}
}

// command has the process stop, kill or start its server, and waits until that is done. It fails the test otherwise.
func (s *spawned) command(t testing.TB, verb string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	// The test's own context ends before its cleanups, which may still start a server.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), commandTimeout)
	defer cancel()
	if _, err := io.WriteString(s.stdin, verb+"\n"); err != nil {
		t.Fatalf("testservers: %s: %v: %s", verb, err, s.stderr)
	}
	if _, err := s.receive(ctx); err != nil {
		t.Fatalf("testservers: %s: %v", verb, err)
	}
}

// end stops the server, deletes its data, and waits until both are done.
func (s *spawned) end() {
	_ = s.stdin.Close()
	for range s.answers { // until the process ends
	}
	_ = s.cmd.Wait()
}

// output collects what the process says, for error messages.
type output struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(o.data.String())
}

// repositoryRoot is the nearest folder, from the working directory upwards, that holds go.work: where tools/ is.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no servers: %s and %s are not set, and verify/testservers, which would start them, "+
				"is only found inside the repository", envDatabase, envAMQP)
		}
		dir = parent
	}
}
