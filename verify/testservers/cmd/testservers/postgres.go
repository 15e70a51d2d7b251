package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// postgresSettings make a server for tests: safe against a crash of the server, not against one of the machine, and
// with room for many packages' connections.
var postgresSettings = []string{
	"-c", "fsync=off",
	"-c", "full_page_writes=off",
	"-c", "max_connections=400",
	"-c", "shared_buffers=64MB",
}

// postgresPrograms is a PostgreSQL started from this machine's programs.
type postgresPrograms struct {
	bin     string
	folder  string
	port    int
	owner   *syscall.Credential
	process *process
	version string
}

func localPostgres(ctx context.Context) (server, error) {
	bin, err := postgresFolder()
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged("postgres", "nobody")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	folder, err := tempFolder(owner)
	if err != nil {
		return nil, err
	}
	s := &postgresPrograms{bin: bin, folder: folder, port: ports[0], owner: owner}
	if err := s.initialise(ctx); err != nil {
		_ = s.Remove()
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		_ = s.Remove()
		return nil, err
	}
	return s, nil
}

// postgresFolder finds the folder of the programs initdb and postgres. Debian keeps it out of PATH; the highest version wins.
func postgresFolder() (string, error) {
	var folders []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
	}
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for i := len(versions) - 1; i >= 0; i-- {
		folders = append(folders, versions[i])
	}
	for _, folder := range folders {
		if _, err := exec.LookPath(filepath.Join(folder, "initdb")); err != nil {
			continue
		}
		if _, err := exec.LookPath(filepath.Join(folder, "postgres")); err == nil {
			return folder, nil
		}
	}
	return "", fmt.Errorf("postgres: %w", errNotHere)
}

func (s *postgresPrograms) data() string { return filepath.Join(s.folder, "data") }

func (s *postgresPrograms) initialise(ctx context.Context) error {
	initdb := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "--pgdata="+s.data(),
		"--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.Dir = s.folder
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

func (s *postgresPrograms) Start(ctx context.Context) (err error) {
	args := append([]string{
		"-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
	}, postgresSettings...)
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir = s.folder
	if s.process, err = startProcess(cmd, s.owner, syscall.SIGQUIT); err != nil {
		return err
	}
	err = awaitReady(ctx, s.process.done, func(ctx context.Context) (err error) {
		s.version, err = postgresVersion(ctx, s.url())
		return err
	})
	if err != nil {
		return fmt.Errorf("postgres: %w\n%s", err, s.process.output)
	}
	return nil
}

// Stop is a fast shutdown: sessions are told and ended.
func (s *postgresPrograms) Stop(ctx context.Context) error { return s.process.end(ctx, syscall.SIGINT) }

// Kill is an immediate shutdown: nothing is written, and the next start recovers. A SIGKILL would leave sessions
// behind that keep the next start from happening.
func (s *postgresPrograms) Kill(ctx context.Context) error {
	return s.process.end(ctx, syscall.SIGQUIT)
}

func (s *postgresPrograms) Remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	err := s.Kill(ctx)
	if removeErr := os.RemoveAll(s.folder); err == nil {
		err = removeErr
	}
	return err
}

func (s *postgresPrograms) url() string { return postgresURL("127.0.0.1", s.port) }

func (s *postgresPrograms) Environment() map[string]string {
	return map[string]string{envDatabase: s.url()}
}

func (s *postgresPrograms) String() string {
	return fmt.Sprintf("PostgreSQL %s, from %s", s.version, s.bin)
}
