package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"time"
)

// A server is one running PostgreSQL or RabbitMQ. It is up when its constructor returns.
type server interface {
	// Environment gives the server's addresses by the names of the environment variables that tests read.
	Environment() map[string]string
	// String says what was started, and how.
	String() string
	// Start starts a stopped server on its old port with its old data, and returns when it answers.
	Start(ctx context.Context) error
	// Stop asks the server to finish, and returns when it has.
	Stop(ctx context.Context) error
	// Kill ends the server at once, as a crash would.
	Kill(ctx context.Context) error
	// Remove kills the server and deletes everything it wrote. It may be called in any state, more than once.
	Remove() error
}

// reply is a line that serve writes: the first when the servers are up, then one for each command.
type reply struct {
	Error       string            `json:"error,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
	Servers     []string          `json:"servers,omitempty"`
}

// commandTimeout bounds one stop, kill or start.
const commandTimeout = 2 * time.Minute

// serve starts the named servers, reports them on out and carries out the commands it reads from in, until in or
// ctx ends. By then they are gone.
func serve(ctx context.Context, names []string, in io.Reader, out io.Writer) (err error) {
	if len(names) == 0 {
		names = []string{"postgres", "rabbitmq"}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// From the first moment on: the end of the input may come while the servers are still starting.
	commands := make(chan string)
	go func() {
		defer cancel()
		lines := bufio.NewScanner(in)
		for lines.Scan() {
			select {
			case commands <- strings.TrimSpace(lines.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()

	answers := json.NewEncoder(out)
	removeLeftovers(ctx)
	servers, err := startAll(ctx, names)
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.Remove())
		}
	}()
	if err != nil {
		if ctx.Err() != nil {
			return nil // Nobody waits for them any more.
		}
		return errors.Join(answers.Encode(reply{Error: err.Error()}))
	}

	first := reply{Environment: map[string]string{}}
	for _, s := range servers {
		maps.Copy(first.Environment, s.Environment())
		first.Servers = append(first.Servers, s.String())
	}
	if err := answers.Encode(first); err != nil {
		return nil // Nobody reads any more.
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case command := <-commands:
			var answer reply
			if err := carryOut(ctx, command, servers); err != nil {
				answer.Error = err.Error()
			}
			if err := answers.Encode(answer); err != nil {
				return nil
			}
		}
	}
}

// startAll starts the named servers side by side. It returns those that came up, also with an error.
func startAll(ctx context.Context, names []string) ([]server, error) {
	found := make([]server, len(names))
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { found[i], errs[i] = find(ctx, name) })
	}
	wg.Wait()

	var servers []server
	for i := range names {
		if errs[i] == nil {
			servers = append(servers, found[i])
		}
	}
	return servers, errors.Join(errs...)
}

func carryOut(ctx context.Context, command string, servers []server) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	var errs []error
	for _, s := range servers {
		switch command {
		case "stop":
			errs = append(errs, s.Stop(ctx))
		case "kill":
			errs = append(errs, s.Kill(ctx))
		case "start":
			errs = append(errs, s.Start(ctx))
		default:
			return fmt.Errorf("unknown command %q: stop, kill or start", command)
		}
	}
	return errors.Join(errs...)
}
