// Package servers holds what the library for tests and the program that starts servers have in common: the names of
// environment variables, the protocol between the two, and what both ask of PostgreSQL and RabbitMQ.
package servers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// The environment variables that give the addresses of servers, and the one that selects where servers come from.
const (
	DatabaseURL   = "TEST_DATABASE_URL"
	AMQPURL       = "TEST_AMQP_URL"
	ManagementURL = "TEST_RABBITMQ_MANAGEMENT_URL"
	Source        = "TEST_SERVERS"
)

// Values of the variable [Source].
const (
	FromEnvironment = "env"
	FromDocker      = "docker"
	FromLocal       = "local"
)

// PostgresVersion connects to the server at url and returns its version.
func PostgresVersion(ctx context.Context, url string) (version string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
	return version, err
}

// ProcessEnded reports whether this machine has no process with the id pid.
func ProcessEnded(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	defer func() { _ = p.Release() }()
	err = p.Signal(syscall.Signal(0))
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH)
}

// ProgramFolder is the folder of the program that starts servers, by its path from the root of the repository.
var ProgramFolder = filepath.Join("verify", "testservers", "cmd", "testservers")

// RepositoryRoot returns the nearest folder, from the working directory upwards, that contains [ProgramFolder].
func RepositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, ProgramFolder)); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is outside the repository")
		}
		dir = parent
	}
}
