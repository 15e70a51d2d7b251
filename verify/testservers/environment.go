package testservers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

const (
	// startTimeout bounds the start of a server, including compiling the program and pulling images or packages.
	startTimeout = 5 * time.Minute
	// operationTimeout bounds creating or deleting one database or virtual host.
	operationTimeout = time.Minute
)

// databaseServer returns the URL of the maintenance database on the PostgreSQL that all tests of this binary share.
var databaseServer = sync.OnceValues(func() (string, error) {
	address := os.Getenv(servers.DatabaseURL)
	if address == "" {
		started, err := startShared("postgres", servers.DatabaseURL)
		if err != nil {
			return "", err
		}
		address = started[servers.DatabaseURL]
	}
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	if err := deleteAbandonedDatabases(ctx, address); err != nil {
		return "", fmt.Errorf("test databases at %s: %w", redact(address), err)
	}
	return address, nil
})

// sharedBroker returns the RabbitMQ that all tests of this binary share.
var sharedBroker = sync.OnceValues(func() (servers.RabbitMQ, error) {
	address, management := os.Getenv(servers.AMQPURL), os.Getenv(servers.ManagementURL)
	if address == "" {
		started, err := startShared("rabbitmq", servers.AMQPURL)
		if err != nil {
			return servers.RabbitMQ{}, err
		}
		address, management = started[servers.AMQPURL], started[servers.ManagementURL]
	}
	b, err := servers.NewRabbitMQ(address, management)
	if err != nil {
		return servers.RabbitMQ{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	if err := errors.Join(deleteAbandonedVHosts(ctx, b), deleteAbandonedUsers(ctx, b)); err != nil {
		return servers.RabbitMQ{}, fmt.Errorf("cannot use RabbitMQ's management API at %s (set %s): %w",
			b.Management(), servers.ManagementURL, err)
	}
	return b, nil
})

// startShared starts a server for the lifetime of this test binary and returns its addresses.
func startShared(name, variable string) (map[string]string, error) {
	if os.Getenv(servers.Source) == servers.FromEnvironment {
		return nil, fmt.Errorf("%s=%s, but %s is not set", servers.Source, servers.FromEnvironment, variable)
	}
	program, err := start(context.Background(), name)
	if err != nil {
		return nil, err
	}
	shared.Lock()
	defer shared.Unlock()
	shared.programs = append(shared.programs, program) // The reference keeps the pipe to the program open.
	return program.Started.Environment, nil
}

var shared struct {
	sync.Mutex
	programs []*servers.Program
}

// start compiles the program, unless the go command has it in its cache, and starts the named server with it.
func start(ctx context.Context, name string) (*servers.Program, error) {
	root, err := servers.RepositoryRoot()
	if err != nil {
		return nil, fmt.Errorf("%s or %s is not set, and the program that starts servers was not found: %w",
			servers.DatabaseURL, servers.AMQPURL, err)
	}
	cmd := exec.Command("go", "run", "-C", filepath.Join(root, servers.ProgramFolder), ".", "serve", name)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return servers.Start(ctx, cmd)
}

// redact hides the password of a URL, for messages.
func redact(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that is no URL"
	}
	return u.Redacted()
}
