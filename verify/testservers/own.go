package testservers

import (
	"testing"
)

// A Broker is a RabbitMQ that belongs to one test, which may stop it and start it again: on the same port, with the
// durable data it had.
type Broker struct {
	server *spawned
	url    string
}

// OwnBroker starts a RabbitMQ for t alone and removes it when t ends. It takes some seconds: only for tests that
// disturb the broker. TEST_AMQP_URL does not matter to it; the server comes from Docker or from installed programs.
func OwnBroker(t testing.TB) *Broker {
	t.Helper()
	server := own(t, "rabbitmq")
	url := server.environment[envAMQP]
	b, err := newRabbit(url, server.environment[envManagement])
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	ownBrokers.Store(b.amqp.Host, b)
	t.Cleanup(func() { ownBrokers.Delete(b.amqp.Host) })
	return &Broker{server: server, url: url}
}

// URL is the AMQP URL of the broker's only virtual host. It stays the same over Stop and Start.
func (b *Broker) URL() string { return b.url }

// Stop shuts the broker down in order, and returns when it is down. Clients' connections are closed with a reason.
func (b *Broker) Stop(t testing.TB) { t.Helper(); b.server.command(t, "stop") }

// Kill ends the broker at once, as a crash would. Clients' connections break.
func (b *Broker) Kill(t testing.TB) { t.Helper(); b.server.command(t, "kill") }

// Start starts the stopped broker, and returns when it answers.
func (b *Broker) Start(t testing.TB) { t.Helper(); b.server.command(t, "start") }

// A DatabaseServer is a PostgreSQL that belongs to one test, which may stop it and start it again: on the same port,
// with all that was committed.
type DatabaseServer struct {
	server *spawned
	url    string
}

// OwnDatabase starts a PostgreSQL for t alone and removes it when t ends. Only for tests that disturb the server.
// TEST_DATABASE_URL does not matter to it; the server comes from Docker or from installed programs.
func OwnDatabase(t testing.TB) *DatabaseServer {
	t.Helper()
	server := own(t, "postgres")
	return &DatabaseServer{server: server, url: server.environment[envDatabase]}
}

// URL is that of an empty database. It stays the same over Stop and Start.
func (d *DatabaseServer) URL() string { return d.url }

// Stop shuts the server down in order: transactions that are open are rolled back and their sessions told.
func (d *DatabaseServer) Stop(t testing.TB) { t.Helper(); d.server.command(t, "stop") }

// Kill ends the server at once; its next start recovers as after a crash.
func (d *DatabaseServer) Kill(t testing.TB) { t.Helper(); d.server.command(t, "kill") }

// Start starts the stopped server, and returns when it answers.
func (d *DatabaseServer) Start(t testing.TB) { t.Helper(); d.server.command(t, "start") }

func own(t testing.TB, name string) *spawned {
	t.Helper()
	server, err := spawn(t.Context(), name)
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	t.Cleanup(server.end)
	return server
}
