package testservers_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestMain(m *testing.M) { testservers.Main(m) }

var prepared atomic.Int32

var template = testservers.NewTemplate(func(ctx context.Context, url string) error {
	prepared.Add(1)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE TABLE items (name text); INSERT INTO items VALUES ('first'), ('second')")
	return errors.Join(err, conn.Close(ctx))
})

func TestDatabase_IsEmpty(t *testing.T) {
	t.Parallel()
	first, second := testservers.Database(t), testservers.Database(t)
	exec(t, connect(t, first), "CREATE TABLE items (name text)")
	if n := count(t, connect(t, second), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); n != 0 {
		t.Errorf("%d tables in a database that should be empty", n)
	}
}

func TestDatabase_IsDroppedDespiteConnections(t *testing.T) {
	t.Parallel()
	var url string
	var left *pgx.Conn
	t.Run("test that leaves a connection open", func(t *testing.T) {
		url = testservers.Database(t)
		var err error
		if left, err = pgx.Connect(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	})
	defer left.Close(t.Context())
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the database still exists")
	}
}

func TestTemplate_IsPreparedOnceAndCloned(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			conn := connect(t, template.Database(t))
			exec(t, conn, "DELETE FROM items WHERE name = 'first'")
			if n := count(t, conn, "SELECT count(*) FROM items"); n != 1 {
				t.Errorf("%d rows, want 1: the clone has changes of another", n)
			}
		})
	}
	wg.Wait()
	if n := prepared.Load(); n != 1 {
		t.Errorf("prepared %d times", n)
	}
}

func TestAMQP(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("two tests share no queues", func(t *testing.T) {
		url = testservers.AMQP(t)
		declareAndPublish(t, url, "own.q", 3)
		if n := messages(t, url, "own.q"); n != 3 {
			t.Errorf("%d messages, want 3", n)
		}
		if n := messages(t, testservers.AMQP(t), "own.q"); n != -1 {
			t.Error("a new virtual host has the queue of another")
		}
	})
	if conn, err := amqp.Dial(url); err == nil {
		_ = conn.Close()
		t.Error("the virtual host still exists after its test")
	}
}

func TestOwnDatabase_KeepsDataAndPort(t *testing.T) {
	t.Parallel()
	server := testservers.OwnDatabase(t)
	conn := connect(t, server.URL())
	exec(t, conn, "CREATE TABLE items (name text); INSERT INTO items VALUES ('first')")

	for _, end := range []func(testing.TB){server.Stop, server.Kill} {
		end(t)
		if conn, err := pgx.Connect(t.Context(), server.URL()); err == nil {
			_ = conn.Close(t.Context())
			t.Fatal("a stopped server accepts connections")
		}
		server.Start(t)
		if n := count(t, connect(t, server.URL()), "SELECT count(*) FROM items"); n != 1 {
			t.Errorf("%d rows after the restart, want 1", n)
		}
	}
}

func TestOwnBroker_KeepsMessagesAndPort(t *testing.T) {
	t.Parallel()
	broker := testservers.OwnBroker(t)
	declareAndPublish(t, broker.URL(), "kept.q", 2)

	for restarts, end := range []func(testing.TB){broker.Stop, broker.Kill} {
		end(t)
		if conn, err := amqp.Dial(broker.URL()); err == nil {
			_ = conn.Close()
			t.Fatal("a stopped broker accepts connections")
		}
		broker.Start(t)
		declareAndPublish(t, broker.URL(), "kept.q", 1)
		want := 2 + restarts + 1
		await(t, "old and new messages", func() bool { return messages(t, broker.URL(), "kept.q") == want })
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, conn *pgx.Conn, query string) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// messages returns how many messages are ready in a queue: -1 if there is no such queue.
func messages(t *testing.T, url, queue string) int {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	q, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	if missing, ok := errors.AsType[*amqp.Error](err); ok && missing.Code == amqp.NotFound {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
}

// declareAndPublish declares a durable quorum queue and publishes n persistent messages to it, each confirmed.
func declareAndPublish(t *testing.T, url, queue string, n int) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.Confirm(false); err != nil {
		t.Fatal(err)
	}
	if _, err := channel.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		t.Fatal(err)
	}
	for range n {
		confirm, err := channel.PublishWithDeferredConfirmWithContext(t.Context(), "", queue, true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("bow")})
		if err != nil {
			t.Fatal(err)
		}
		if acked, err := confirm.WaitContext(t.Context()); err != nil || !acked {
			t.Fatalf("not confirmed: %v", err)
		}
	}
}

// await polls until met returns true. It fails the test after half a minute.
func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-deadline.Done():
			t.Fatalf("timeout: %s", what)
		case <-tick.C:
		}
	}
}
