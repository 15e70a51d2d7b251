package rabbitmq_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestConformance(t *testing.T) { eventstest.Run(t, newEnvironment) }

func newEnvironment(t *testing.T) eventstest.Environment {
	return &environment{t: t, broker: testservers.AMQP(t), databases: map[string]string{}}
}

// environment is a virtual host of RabbitMQ and a Postgres database for each service, each behind a proxy. Each service
// connects to the broker as its own user, with the permissions of [rabbitmq.ServicePermissions] and no more.
type environment struct {
	t      *testing.T
	broker string

	mu        sync.Mutex
	databases map[string]string
	operator  *amqp.Connection
}

func (e *environment) Declare(t testing.TB, topologies ...transport.Topology) {
	t.Helper()
	admin := asUser(t, e.broker, rabbitmq.TopologyPermissions(topologies...))
	if err := rabbitmq.Declare(t.Context(), admin, topologies...); err != nil {
		t.Fatal(err)
	}
}

func (e *environment) Process(t testing.TB, service string) eventstest.Process {
	t.Helper()
	database, databaseLink := through(t, e.database(service))
	broker, brokerLink := through(t, asUser(t, e.broker, rabbitmq.ServicePermissions(service)))
	tr, err := rabbitmq.New(broker, rabbitmq.Config{
		Name: service, DialTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second, ConfirmTimeout: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return eventstest.Process{DB: open(t, database), Transport: tr, Database: databaseLink, Broker: brokerLink}
}

// asUser returns the address of the broker for a new user with these permissions.
func asUser(t testing.TB, broker string, may rabbitmq.Permissions) string {
	t.Helper()
	return testservers.User(t, broker, may.Configure, may.Write, may.Read)
}

func (e *environment) OpenDatabase(t testing.TB, service string) *gorm.DB {
	t.Helper()
	return open(t, e.database(service))
}

// Reject binds a full queue that rejects messages.
func (e *environment) Reject(t testing.TB, publisher, eventType string) {
	t.Helper()
	const name = "full"
	ch := e.channel(t)
	defer func() { _ = ch.Close() }()
	args := amqp.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"}
	if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(name, eventType, rabbitmq.ExchangeName(publisher), false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	filling, err := ch.PublishWithDeferredConfirm("", name, false, false, amqp.Publishing{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filling.WaitContext(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (e *environment) Depth(t testing.TB, q transport.Queue) int {
	t.Helper()
	ch := e.channel(t)
	defer func() { _ = ch.Close() }()
	depth := countReady(t, ch, rabbitmq.QueueName(q)) + countReady(t, ch, rabbitmq.UndeliveredQueueName(q))
	for _, delay := range q.RetryDelays {
		depth += countReady(t, ch, rabbitmq.RetryQueueName(q, delay))
	}
	return depth
}

// DeadLetters gets all dead letters and closes the channel, which requeues them.
func (e *environment) DeadLetters(t testing.TB, q transport.Queue) []eventstest.DeadLetter {
	t.Helper()
	ch := e.channel(t)
	defer func() { _ = ch.Close() }()
	name := rabbitmq.DeadLetterQueueName(q)
	if countReady(t, ch, name) == 0 {
		return nil
	}
	var list []eventstest.DeadLetter
	for {
		d, ok, err := ch.Get(name, false)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return list
		}
		list = append(list, eventstest.DeadLetter{
			Reason:   transport.Reason(fmt.Sprint(d.Headers["dead-letter-reason"])),
			Error:    fmt.Sprint(d.Headers["retry-last-error"]),
			Attempts: number(d.Headers["retry-attempt"]),
			Body:     d.Body,
		})
	}
}

// Corrupt sends messages with hostile headers and properties to the queue, past the exchange.
func (e *environment) Corrupt(t testing.TB, q transport.Queue, valid func(id string) transport.Message) map[string]transport.Reason {
	t.Helper()
	ch := e.channel(t)
	defer func() { _ = ch.Close() }()
	want := map[string]transport.Reason{}
	for id, h := range hostileMessages() {
		h.publishing.Body = valid(id).Body
		sendTo(t, ch, rabbitmq.QueueName(q), h.publishing)
		want[id] = h.reason
	}
	return want
}

func (e *environment) database(service string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.databases[service] == "" {
		e.databases[service] = testservers.Database(e.t)
	}
	return e.databases[service]
}

// channel opens a channel on the operator's connection.
func (e *environment) channel(t testing.TB) *amqp.Channel {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.operator == nil {
		conn, err := amqp.Dial(e.broker)
		if err != nil {
			t.Fatal(err)
		}
		e.operator = conn
		e.t.Cleanup(func() { _ = conn.Close() })
	}
	ch, err := e.operator.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// number converts an integer of any width.
func number(v any) int {
	var n int
	_, _ = fmt.Sscan(fmt.Sprint(v), &n)
	return n
}

// through starts a proxy for the server of an address and returns the address of the proxy.
func through(t testing.TB, address string) (string, *eventstest.Proxy) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := eventstest.NewProxy(t, u.Host)
	u.Host = proxy.Addr()
	return u.String(), proxy
}

func open(t testing.TB, address string) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(postgres.Open(address), &gorm.Config{SkipDefaultTransaction: true, Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	sqlDB, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	sqlDB.SetMaxOpenConns(20)
	t.Cleanup(func() { _ = sqlDB.Close() })
	return db
}
