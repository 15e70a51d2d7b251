package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

// A server is one PostgreSQL or RabbitMQ. It is up when the function that returns it does.
type server interface {
	// Environment returns the server's addresses by the environment variables for them.
	Environment() map[string]string
	// String returns what was started, and from where.
	String() string
	// Start starts a stopped server on its old port with its old data, and blocks until it accepts connections.
	Start(ctx context.Context) error
	// Stop shuts the server down in order and blocks until it is down.
	Stop(ctx context.Context) error
	// Kill ends the server at once, as a crash would, and blocks until it is down.
	Kill(ctx context.Context) error
	// Remove kills the server and deletes its data. It can be called in any state, more than once.
	Remove() error
}

var (
	_ server = (*containerServer)(nil)
	_ server = (*localPostgres)(nil)
	_ server = (*localRabbitMQ)(nil)
)

// A version is a server's own version, once a connection to it has succeeded.
type version = func(ctx context.Context) (string, error)

// postgresAt returns the addresses of a PostgreSQL, and the function that connects to it.
func postgresAt(host string, port int) (map[string]string, version) {
	url := "postgres://postgres:postgres@" + net.JoinHostPort(host, strconv.Itoa(port)) + "/postgres?sslmode=disable"
	return map[string]string{servers.DatabaseURL: url},
		func(ctx context.Context) (string, error) { return servers.PostgresVersion(ctx, url) }
}

// rabbitmqAt returns the addresses of a RabbitMQ, and the function that connects to it.
func rabbitmqAt(host string, amqpPort, managementPort int) (map[string]string, version) {
	amqp := "amqp://guest:guest@" + net.JoinHostPort(host, strconv.Itoa(amqpPort)) + "/"
	management := "http://guest:guest@" + net.JoinHostPort(host, strconv.Itoa(managementPort))
	return map[string]string{servers.AMQPURL: amqp, servers.ManagementURL: management},
		func(ctx context.Context) (string, error) {
			b, err := servers.NewRabbitMQ(amqp, management)
			if err != nil {
				return "", err
			}
			return b.Version(ctx)
		}
}

const (
	// startTimeout bounds the start of one server, once its image or programs are on this machine.
	startTimeout = 90 * time.Second
	// pollInterval is the pause between two attempts to connect to a server that is starting.
	pollInterval = 50 * time.Millisecond
	// attemptTimeout bounds one attempt.
	attemptTimeout = 3 * time.Second
)

// awaitVersion polls get until it succeeds, stopped returns true, or ctx or startTimeout ends.
func awaitVersion(ctx context.Context, get version, stopped func(context.Context) bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		attempt, cancelAttempt := context.WithTimeout(ctx, attemptTimeout)
		v, err := get(attempt)
		cancelAttempt()
		if err == nil {
			return v, nil
		}
		if ctx.Err() == nil && stopped(ctx) {
			return "", fmt.Errorf("ended while starting; last attempt to connect: %w", err)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%w; last attempt to connect: %w", ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// freePorts returns n free ports. They are below the range from which operating systems take the local ports of outgoing
// connections, so that they are still free when a stopped server starts again.
func freePorts(n int) ([]int, error) {
	const lowest, highest, attempts = 20000, 32000, 1000
	ports := make([]int, 0, n)
	for range attempts {
		if len(ports) == n {
			return ports, nil
		}
		listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(lowest+rand.IntN(highest-lowest)))
		if err != nil {
			continue
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return nil, errors.New("no free ports")
}
