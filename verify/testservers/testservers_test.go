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
	_, err = conn.Exec(ctx, "CREATE TABLE couples (name text); INSERT INTO couples VALUES ('first'), ('second')")
	return errors.Join(err, conn.Close(ctx))
})

var topology = testservers.NewTopology(func(_ context.Context, url string) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		return err
	}
	_, err = channel.QueueDeclare("shared.q", true, false, false, false, nil)
	return err
})

func TestDatabase_IsEmptyAndNobodyElses(t *testing.T) {
	t.Parallel()
	first, second := testservers.Database(t), testservers.Database(t)
	exec(t, connect(t, first), "CREATE TABLE couples (name text)")
	if n := count(t, connect(t, second), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); n != 0 {
		t.Errorf("%d tables in a database that should be empty", n)
	}
}

func TestDatabase_IsDroppedWithConnectionsOpen(t *testing.T) {
	t.Parallel()
	var url string
	var left *pgx.Conn
	t.Run("a test that forgets its connection", func(t *testing.T) {
		url = testservers.Database(t)
		var err error
		if left, err = pgx.Connect(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	})
	defer left.Close(t.Context())
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the database is still there")
	}
}

func TestTemplate_IsPreparedOnceAndClonedForEveryTest(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			conn := connect(t, template.Database(t))
			exec(t, conn, "DELETE FROM couples WHERE name = 'first'")
			if n := count(t, conn, "SELECT count(*) FROM couples"); n != 1 {
				t.Errorf("%d rows, want 1: somebody else's change?", n)
			}
		})
	}
	wg.Wait()
	if n := prepared.Load(); n != 1 {
		t.Errorf("prepared %d times", n)
	}
}

func TestAMQP_IsEmptyAndDeletedAfterwards(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("a test that declares a queue", func(t *testing.T) {
		url = testservers.AMQP(t)
		if depths := testservers.QueueDepths(t, url); len(depths) != 0 {
			t.Errorf("a new virtual host has queues: %v", depths)
		}
		declareAndPublish(t, url, "lonely.q", 3)
		if depths := testservers.QueueDepths(t, url); len(depths) != 1 || depths["lonely.q"] != 3 {
			t.Errorf("depths %v, want 3 in lonely.q", depths)
		}
	})
	if conn, err := amqp.Dial(url); err == nil {
		_ = conn.Close()
		t.Error("the virtual host is still there")
	}
}

func TestTopology_IsSharedByThePackage(t *testing.T) {
	t.Parallel()
	if first, second := topology.AMQP(t), topology.AMQP(t); first != second {
		t.Errorf("%s and %s", first, second)
	}
	if _, there := testservers.QueueDepths(t, topology.AMQP(t))["shared.q"]; !there {
		t.Error("the topology was not prepared")
	}
}

func TestOwnDatabase_KeepsDataAndPortOverStopAndKill(t *testing.T) {
	t.Parallel()
	server := testservers.OwnDatabase(t)
	conn := connect(t, server.URL())
	exec(t, conn, "CREATE TABLE couples (name text); INSERT INTO couples VALUES ('first')")

	for _, end := range []func(testing.TB){server.Stop, server.Kill} {
		end(t)
		if conn, err := pgx.Connect(t.Context(), server.URL()); err == nil {
			_ = conn.Close(t.Context())
			t.Fatal("a stopped server answers")
		}
		server.Start(t)
		if n := count(t, connect(t, server.URL()), "SELECT count(*) FROM couples"); n != 1 {
			t.Errorf("%d rows after the restart, want 1", n)
		}
	}
}

func TestOwnBroker_KeepsMessagesAndPortOverStopAndKill(t *testing.T) {
	t.Parallel()
	broker := testservers.OwnBroker(t)
	declareAndPublish(t, broker.URL(), "kept.q", 2)

	for restarts, end := range []func(testing.TB){broker.Stop, broker.Kill} {
		end(t)
		if conn, err := amqp.Dial(broker.URL()); err == nil {
			_ = conn.Close()
			t.Fatal("a stopped broker answers")
		}
		broker.Start(t)
		declareAndPublish(t, broker.URL(), "kept.q", 1)
		want := 2 + restarts + 1
		await(t, "messages of old and new", func() bool { return testservers.QueueDepths(t, broker.URL())["kept.q"] == want })
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

// declareAndPublish makes a durable quorum queue and publishes n persistent messages to it, each confirmed.
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

// await polls until met, and fails the test after a generous while.
func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-deadline.Done():
			t.Fatalf("no %s", what)
		case <-tick.C:
		}
	}
}
