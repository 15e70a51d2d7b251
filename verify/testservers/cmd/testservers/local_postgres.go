package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// postgresSettings are for tests: data survives a crash of the server, but not of the machine, and the packages of a run
// have enough connections.
var postgresSettings = []string{
	"-c", "fsync=off",
	"-c", "full_page_writes=off",
	"-c", "max_connections=400",
	"-c", "shared_buffers=64MB",
}

// A localPostgres is a PostgreSQL that runs as a program of this machine.
type localPostgres struct {
	bin         string
	folder      string
	port        int
	owner       *syscall.Credential
	process     *process
	environment map[string]string
	version     version
	running     string // the server's version
}

func startLocalPostgres(ctx context.Context) (server, error) {
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
	folder, err := dataFolder(owner)
	if err != nil {
		return nil, err
	}
	s := &localPostgres{bin: bin, folder: folder, port: ports[0], owner: owner}
	s.environment, s.version = postgresAt("127.0.0.1", s.port)
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

// postgresFolder returns the folder of the programs initdb and postgres. Debian has one for each version, outside PATH;
// the highest version is used.
func postgresFolder() (string, error) {
	var folders []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
	}
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, newest := range slices.Backward(versions) {
		folders = append(folders, newest)
	}
	for _, folder := range folders {
		if _, err := exec.LookPath(filepath.Join(folder, "initdb")); err != nil {
			continue
		}
		if _, err := exec.LookPath(filepath.Join(folder, "postgres")); err == nil {
			return folder, nil
		}
	}
	return "", fmt.Errorf("postgres: %w", errUnavailable)
}

func (s *localPostgres) data() string { return filepath.Join(s.folder, "data") }

func (s *localPostgres) initialise(ctx context.Context) error {
	initdb := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "--pgdata="+s.data(),
		"--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.Dir = s.folder
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

func (s *localPostgres) Start(ctx context.Context) (err error) {
	args := append([]string{
		"-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
	}, postgresSettings...)
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir = s.folder
	if s.process, err = startProcess(cmd, s.owner, syscall.SIGQUIT); err != nil {
		return err
	}
	if s.running, err = awaitVersion(ctx, s.version, s.process.stopped); err != nil {
		return fmt.Errorf("postgres: %w\n%s", err, s.process.output)
	}
	return nil
}

// Stop is a fast shutdown: sessions are ended with a reason.
func (s *localPostgres) Stop(ctx context.Context) error { return s.process.end(ctx, syscall.SIGINT) }

// Kill is an immediate shutdown: nothing is written, and the next start recovers. After a SIGKILL, sessions would
// survive the server and prevent its next start.
func (s *localPostgres) Kill(ctx context.Context) error {
	return s.process.end(ctx, syscall.SIGQUIT)
}

func (s *localPostgres) Remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	err := s.Kill(ctx)
	if removeErr := os.RemoveAll(s.folder); err == nil {
		err = removeErr
	}
	return err
}

func (s *localPostgres) Environment() map[string]string { return s.environment }

func (s *localPostgres) String() string {
	return fmt.Sprintf("PostgreSQL %s, from %s", s.running, s.bin)
}
