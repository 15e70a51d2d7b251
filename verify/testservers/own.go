package testservers

import (
	"context"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

// commandTimeout bounds stopping or starting a server that exists.
const commandTimeout = 2 * time.Minute

// A Broker is a RabbitMQ that belongs to one test, which may stop it and start it again. It keeps its port and its
// durable data.
type Broker struct {
	program *servers.Program
	url     string
}

// OwnBroker starts a RabbitMQ for t alone and removes it when t ends. It takes some seconds: use it only in tests that
// disturb the broker. The server comes from Docker or from local programs, even if TEST_AMQP_URL is set.
func OwnBroker(t testing.TB) *Broker {
	t.Helper()
	program := own(t, "rabbitmq")
	url := program.Started.Environment[servers.AMQPURL]
	b, err := servers.NewRabbitMQ(url, program.Started.Environment[servers.ManagementURL])
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	ownBrokers.Store(b.Host(), b)
	t.Cleanup(func() { ownBrokers.Delete(b.Host()) })
	return &Broker{program: program, url: url}
}

// URL returns the AMQP URL of the broker's default virtual host.
func (b *Broker) URL() string { return b.url }

// Stop shuts the broker down in order and blocks until it is down. Clients' connections are closed with a reason.
func (b *Broker) Stop(t testing.TB) { t.Helper(); do(t, b.program, servers.CommandStop) }

// Kill ends the broker at once, as a crash would. Clients' connections break.
func (b *Broker) Kill(t testing.TB) { t.Helper(); do(t, b.program, servers.CommandKill) }

// Start starts the stopped broker and blocks until it accepts connections.
func (b *Broker) Start(t testing.TB) { t.Helper(); do(t, b.program, servers.CommandStart) }

// A DatabaseServer is a PostgreSQL that belongs to one test, which may stop it and start it again. It keeps its port
// and all committed data.
type DatabaseServer struct {
	program *servers.Program
	url     string
}

// OwnDatabase starts a PostgreSQL for t alone and removes it when t ends. Use it only in tests that disturb the server.
// The server comes from Docker or from local programs, even if TEST_DATABASE_URL is set.
func OwnDatabase(t testing.TB) *DatabaseServer {
	t.Helper()
	program := own(t, "postgres")
	return &DatabaseServer{program: program, url: program.Started.Environment[servers.DatabaseURL]}
}

// URL returns the URL of an empty database.
func (d *DatabaseServer) URL() string { return d.url }

// Stop shuts the server down in order and blocks until it is down. Open transactions are rolled back.
func (d *DatabaseServer) Stop(t testing.TB) { t.Helper(); do(t, d.program, servers.CommandStop) }

// Kill ends the server at once. Its next start recovers as after a crash.
func (d *DatabaseServer) Kill(t testing.TB) { t.Helper(); do(t, d.program, servers.CommandKill) }

// Start starts the stopped server and blocks until it accepts connections.
func (d *DatabaseServer) Start(t testing.TB) { t.Helper(); do(t, d.program, servers.CommandStart) }

func own(t testing.TB, name string) *servers.Program {
	t.Helper()
	program, err := start(t.Context(), name)
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	t.Cleanup(program.Close)
	return program
}

func do(t testing.TB, program *servers.Program, command string) {
	t.Helper()
	// The test's own context ends before its cleanups, which may still start a server.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), commandTimeout)
	defer cancel()
	if err := program.Do(ctx, command); err != nil {
		t.Fatalf("testservers: %s: %v", command, err)
	}
}
