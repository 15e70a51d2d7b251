package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

// commandTimeout bounds one stop, kill or start.
const commandTimeout = 2 * time.Minute

// serve starts the named servers, writes their addresses to out, and executes the commands that it reads from in, until
// in or ctx ends. It removes the servers before it returns.
func serve(ctx context.Context, names []string, in io.Reader, out io.Writer) (err error) {
	if len(names) == 0 {
		names = []string{"postgres", "rabbitmq"}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// The input is read from the beginning, because it may end while the servers are still starting.
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

	removeAbandonedFolders()
	removeAbandonedContainers()
	folder, err := useTempFolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	replies := json.NewEncoder(out)
	started, err := startAll(ctx, names)
	defer func() {
		for _, s := range started {
			err = errors.Join(err, s.Remove())
		}
	}()
	if err != nil {
		if ctx.Err() != nil {
			return nil // The process that wanted the servers has ended.
		}
		return replies.Encode(servers.Reply{Error: err.Error()})
	}

	first := servers.Reply{Environment: map[string]string{}}
	for _, s := range started {
		maps.Copy(first.Environment, s.Environment())
		first.Servers = append(first.Servers, s.String())
	}
	if err := replies.Encode(first); err != nil {
		return nil // The process that wanted the servers has ended.
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case command := <-commands:
			var reply servers.Reply
			if err := carryOut(ctx, command, started); err != nil {
				reply.Error = err.Error()
			}
			if err := replies.Encode(reply); err != nil {
				return nil
			}
		}
	}
}

// startAll starts the named servers concurrently. It returns those that are up, even with an error.
func startAll(ctx context.Context, names []string) ([]server, error) {
	results := make([]server, len(names))
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { results[i], errs[i] = start(ctx, name) })
	}
	wg.Wait()

	var started []server
	for i := range names {
		if errs[i] == nil {
			started = append(started, results[i])
		}
	}
	return started, errors.Join(errs...)
}

func carryOut(ctx context.Context, command string, started []server) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	var errs []error
	for _, s := range started {
		switch command {
		case servers.CommandStop:
			errs = append(errs, s.Stop(ctx))
		case servers.CommandKill:
			errs = append(errs, s.Kill(ctx))
		case servers.CommandStart:
			errs = append(errs, s.Start(ctx))
		default:
			return fmt.Errorf("unknown command %q", command)
		}
	}
	return errors.Join(errs...)
}

// tempPrefix is the beginning of the names of temporary folders. The id of the process that created the folder follows.
const tempPrefix = "quadrille-testservers-"

// useTempFolder creates a folder for all temporary files of this process, including those of libraries. The users that
// local servers run as can enter it, but not read it.
func useTempFolder() (string, error) {
	folder, err := os.MkdirTemp("", tempPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return "", err
	}
	return folder, errors.Join(os.Chmod(folder, 0o711), os.Setenv("TMPDIR", folder))
}

// removeAbandonedFolders deletes the temporary folders of earlier processes that were killed.
func removeAbandonedFolders() {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"*"))
	for _, folder := range folders {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), tempPrefix), "-")
		if ended(pid) {
			_ = os.RemoveAll(folder)
		}
	}
}

// ended reports whether pid is the id of a process of this machine that has ended.
func ended(pid string) bool {
	id, err := strconv.Atoi(pid)
	return err == nil && id > 0 && servers.ProcessEnded(id)
}
