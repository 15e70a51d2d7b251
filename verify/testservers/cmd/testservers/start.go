package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

// errUnavailable means that this machine lacks a source of servers. Any other error means that the source exists, but
// failed.
var errUnavailable = errors.New("not on this machine")

// checkSource returns an error if TEST_SERVERS has an unknown value.
func checkSource() error {
	switch source := os.Getenv(servers.Source); source {
	case "", servers.FromEnvironment, servers.FromDocker, servers.FromLocal:
		return nil
	default:
		return fmt.Errorf("%s=%s: want %s, %s or %s", servers.Source, source,
			servers.FromEnvironment, servers.FromDocker, servers.FromLocal)
	}
}

// start starts the named server from the first source that works: Docker, then local programs, then local programs
// that were installed for it. The variable TEST_SERVERS can exclude either.
func start(ctx context.Context, name string) (server, error) {
	var inDocker, local func(context.Context) (server, error)
	var variables, programs string
	switch name {
	case "postgres":
		inDocker, local = runPostgresContainer, startLocalPostgres
		variables, programs = servers.DatabaseURL, "initdb and postgres"
	case "rabbitmq":
		inDocker, local = runRabbitMQContainer, startLocalRabbitMQ
		variables, programs = servers.AMQPURL+" (and "+servers.ManagementURL+")", "rabbitmq-server and epmd"
	default:
		return nil, fmt.Errorf("unknown server %q: want postgres or rabbitmq", name)
	}

	source := os.Getenv(servers.Source)
	var failures []error
	if source != servers.FromLocal {
		s, err := inDocker(ctx)
		if err == nil {
			return s, nil
		}
		failures = append(failures, fmt.Errorf("docker: %w", err))
	}
	if source != servers.FromDocker && ctx.Err() == nil {
		s, err := local(ctx)
		if errors.Is(err, errUnavailable) {
			if installErr := install(ctx); installErr == nil {
				s, err = local(ctx)
			} else {
				err = errors.Join(err, installErr)
			}
		}
		if err == nil {
			return s, nil
		}
		failures = append(failures, fmt.Errorf("local programs: %w", err))
	}
	return nil, fmt.Errorf(`no %[1]s for the tests. Do one of these:
  - set %[2]s to a server you have;
  - run a Docker engine that has, or can pull, the image;
  - install the programs %[3]s;
  - on Debian, run as root, so that scripts/install-test-servers can install them.
What was tried:
%[4]w`, name, variables, programs, errors.Join(failures...))
}

// install runs scripts/install-test-servers, which installs the local programs on Debian.
func install(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("scripts/install-test-servers needs root: %w", errUnavailable)
	}
	root, err := servers.RepositoryRoot()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, "scripts", "install-test-servers"))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("scripts/install-test-servers: %w", err)
	}
	return nil
}
