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
	"github.com/quadrille-dev/quadrille/pkg/testservers"
)

func TestConformance(t *testing.T) { eventstest.Run(t, world{}) }

// world is RabbitMQ with Postgres, a proxy before each. Everybody has their own user, with the least of rights.
type world struct{}

func (world) Stage(t *testing.T) eventstest.Stage {
	return &stage{t: t, broker: testservers.AMQP(t), databases: map[string]string{}}
}

// stage is a virtual host, and a database for each service.
type stage struct {
	t      *testing.T
	broker string

	mu        sync.Mutex
	databases map[string]string
	operator  *amqp.Connection
}

func (s *stage) Apply(t testing.TB, topologies ...transport.Topology) {
	t.Helper()
	admin := as(t, s.broker, rabbitmq.TopologyPermissions(topologies...))
	if err := rabbitmq.Apply(t.Context(), admin, topologies...); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) Process(t testing.TB, service string) eventstest.Process {
	t.Helper()
	database, databaseLink := through(t, s.database(service))
	broker, brokerLink := through(t, as(t, s.broker, rabbitmq.ServicePermissions(service)))
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

// as is the broker for a user who may do this and no more. The suite shows that it is enough.
func as(t testing.TB, broker string, may rabbitmq.Permissions) string {
	t.Helper()
	return testservers.User(t, broker, may.Configure, may.Write, may.Read)
}

func (s *stage) Observe(t testing.TB, service string) *gorm.DB {
	t.Helper()
	return open(t, s.database(service))
}

// Refuse binds a queue that is full and rejects.
func (s *stage) Refuse(t testing.TB, publisher, eventType string) {
	t.Helper()
	const name = "full"
	ch := s.channel(t)
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

func (s *stage) Depth(t testing.TB, q transport.Queue) int {
	t.Helper()
	ch := s.channel(t)
	defer func() { _ = ch.Close() }()
	depth := count(t, ch, rabbitmq.QueueName(q))
	for _, delay := range q.RetryDelays {
		depth += count(t, ch, rabbitmq.RetryQueueName(q, delay))
	}
	return depth
}

// DeadLetters takes all dead letters and closes the channel, which gives them back.
func (s *stage) DeadLetters(t testing.TB, q transport.Queue) []eventstest.DeadLetter {
	t.Helper()
	ch := s.channel(t)
	defer func() { _ = ch.Close() }()
	name := rabbitmq.DeadLetterQueueName(q)
	if count(t, ch, name) == 0 {
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

func (s *stage) database(service string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.databases[service] == "" {
		s.databases[service] = testservers.Database(s.t)
	}
	return s.databases[service]
}

// channel is a new one on the operator's own connection.
func (s *stage) channel(t testing.TB) *amqp.Channel {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.operator == nil {
		conn, err := amqp.Dial(s.broker)
		if err != nil {
			t.Fatal(err)
		}
		s.operator = conn
		s.t.Cleanup(func() { _ = conn.Close() })
	}
	ch, err := s.operator.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func count(t testing.TB, ch *amqp.Channel, queue string) int {
	t.Helper()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
}

// number reads an integer of whatever width the broker gave back.
func number(v any) int {
	var n int
	_, _ = fmt.Sscan(fmt.Sprint(v), &n)
	return n
}

// through puts a proxy before the server that an address names.
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
