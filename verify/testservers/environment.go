package testservers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
)

// The environment variables by which servers are found.
const (
	envDatabase   = "TEST_DATABASE_URL"
	envAMQP       = "TEST_AMQP_URL"
	envManagement = "TEST_RABBITMQ_MANAGEMENT_URL"
	envWay        = "TEST_SERVERS"
)

// databaseServer is the URL of the shared PostgreSQL's maintenance database. It starts one if need be.
var databaseServer = sync.OnceValues(func() (string, error) {
	address := os.Getenv(envDatabase)
	if address == "" {
		started, err := startShared("postgres", envDatabase)
		if err != nil {
			return "", err
		}
		address = started[envDatabase]
	}
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	if err := sweepDatabases(ctx, address); err != nil {
		return "", fmt.Errorf("test databases at %s: %w", redact(address), err)
	}
	return address, nil
})

// broker is the shared RabbitMQ. It starts one if need be.
var broker = sync.OnceValues(func() (rabbit, error) {
	var b rabbit
	address, management := os.Getenv(envAMQP), os.Getenv(envManagement)
	if address == "" {
		started, err := startShared("rabbitmq", envAMQP)
		if err != nil {
			return rabbit{}, err
		}
		address, management = started[envAMQP], started[envManagement]
	}
	b, err := newRabbit(address, management)
	if err != nil {
		return rabbit{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	if err := errors.Join(b.sweepVHosts(ctx), b.sweepUsers(ctx)); err != nil {
		return rabbit{}, fmt.Errorf("test virtual hosts need RabbitMQ's management API, which does not answer at %s (set %s): %w",
			redact(b.management.String()), envManagement, err)
	}
	return b, nil
})

// startShared starts a server that this test binary keeps until it ends.
func startShared(name, variable string) (map[string]string, error) {
	if os.Getenv(envWay) == "env" {
		return nil, errors.New(envWay + "=env, but " + variable + " is not set")
	}
	s, err := spawn(context.Background(), name)
	if err != nil {
		return nil, err
	}
	sharedServers.Lock()
	defer sharedServers.Unlock()
	sharedServers.list = append(sharedServers.list, s) // Held, so that the pipe to it stays open.
	return s.environment, nil
}

var sharedServers struct {
	sync.Mutex
	list []*spawned
}

// defaultManagement is where a broker's management API usually is.
func defaultManagement(amqp *url.URL) *url.URL {
	return &url.URL{Scheme: "http", User: amqp.User, Host: net.JoinHostPort(amqp.Hostname(), "15672")}
}

// redact hides the password of a URL, for messages.
func redact(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that is no URL"
	}
	return u.Redacted()
}
