package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The environment variables that tests read, and the one that picks a way.
const (
	envDatabase   = "TEST_DATABASE_URL"
	envAMQP       = "TEST_AMQP_URL"
	envManagement = "TEST_RABBITMQ_MANAGEMENT_URL"
	envWay        = "TEST_SERVERS"
)

// errNotHere means that a way does not exist on this machine; the next one is tried. Any other error is the
// failure of a way that does exist, and is told as well.
var errNotHere = errors.New("not on this machine")

// find starts the named server in the first way that works.
func find(ctx context.Context, name string) (server, error) {
	var docker, local func(context.Context) (server, error)
	var addresses, programs string
	switch name {
	case "postgres":
		docker, local = postgresInDocker, localPostgres
		addresses, programs = envDatabase, "initdb and postgres"
	case "rabbitmq":
		docker, local = rabbitmqInDocker, localRabbitMQ
		addresses, programs = envAMQP+" (and "+envManagement+")", "rabbitmq-server and epmd"
	default:
		return nil, fmt.Errorf("unknown server %q: postgres or rabbitmq", name)
	}

	way := os.Getenv(envWay)
	var failures []error
	if way != "local" {
		s, err := docker(ctx)
		if err == nil {
			return s, nil
		}
		failures = append(failures, fmt.Errorf("docker: %w", err))
	}
	if way != "docker" && ctx.Err() == nil {
		s, err := local(ctx)
		if errors.Is(err, errNotHere) {
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
	return nil, fmt.Errorf(`no %[1]s for the tests. Any one of these will do:
  - set %[2]s to a server you have;
  - run a Docker engine that has, or can pull, the image;
  - install the programs %[3]s;
  - on Debian, as root: let scripts/install-test-servers do it.
What was tried:
%[4]w`, name, addresses, programs, errors.Join(failures...))
}

// install runs scripts/install-test-servers, which says what it does.
func install(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("scripts/install-test-servers needs root: %w", errNotHere)
	}
	root, err := repositoryRoot()
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

// repositoryRoot is the nearest folder, from the working directory upwards, that holds go.work.
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
			return "", errors.New("no go.work in this folder or above it")
		}
		dir = parent
	}
}
