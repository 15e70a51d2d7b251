package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// startTimeout bounds the start of one server, once its image or programs are there.
	startTimeout = 90 * time.Second
	// pollInterval is the pause between two looks at a server that is starting.
	pollInterval = 50 * time.Millisecond
	// attemptTimeout bounds one look.
	attemptTimeout = 3 * time.Second
)

// awaitReady polls until check succeeds, gone is closed (the server ended by itself), or ctx or startTimeout ends.
func awaitReady(ctx context.Context, gone <-chan struct{}, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		attempt, cancelAttempt := context.WithTimeout(ctx, attemptTimeout)
		err := check(attempt)
		cancelAttempt()
		if err == nil {
			return nil
		}
		select {
		case <-gone:
			return fmt.Errorf("it ended while starting; last answer: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %w", ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// postgresVersion asks the server at url for its version.
func postgresVersion(ctx context.Context, url string) (version string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
	return version, err
}

// rabbitmqVersion asks the management API for the version, after an AMQP handshake.
func rabbitmqVersion(ctx context.Context, amqpURL, managementURL string) (string, error) {
	deadline, _ := ctx.Deadline()
	conn, err := amqp.DialConfig(amqpURL, amqp.Config{Dial: func(network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return conn, conn.SetDeadline(deadline)
	}})
	if err != nil {
		return "", err
	}
	_ = conn.Close()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, managementURL+"/api/overview", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("management API: %s", resp.Status)
	}
	var overview struct {
		Version string `json:"rabbitmq_version"`
	}
	err = json.NewDecoder(resp.Body).Decode(&overview)
	return overview.Version, err
}

func postgresURL(host string, port int) string {
	return "postgres://postgres:postgres@" + net.JoinHostPort(host, strconv.Itoa(port)) + "/postgres?sslmode=disable"
}

func amqpURL(host string, port int) string {
	return "amqp://guest:guest@" + net.JoinHostPort(host, strconv.Itoa(port)) + "/"
}

func managementURL(host string, port int) string {
	return "http://guest:guest@" + net.JoinHostPort(host, strconv.Itoa(port))
}

// freePorts returns n ports that nobody listens on. They lie below the range from which operating systems take the
// local ports of outgoing connections, so that a stopped server finds its own free again.
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
	return nil, fmt.Errorf("no %d free ports between %d and %d", n, lowest, highest)
}
