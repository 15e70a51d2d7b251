package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/pkg/testservers"
)

func TestMain(m *testing.M) {
	testservers.Main(m)
	http.DefaultClient.CloseIdleConnections() // those to the broker's management API
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

func orderCreated(ladder ...time.Duration) transport.Queue {
	return transport.Queue{
		Service: "inventory", Handler: "order-created", Publisher: "order", Type: "order.created.v1", RetryDelays: ladder,
	}
}

func topologyOf(queues ...transport.Queue) transport.Topology {
	return transport.Topology{Service: "inventory", Queues: queues}
}

func testMessage(id string) transport.Message {
	return transport.Message{
		Metadata:  events.Metadata{ID: id, Type: "order.created.v1", Time: time.Unix(1_700_000_000, 0).UTC()},
		Publisher: "order", Mandatory: true, Body: []byte(`{"id":"` + id + `"}`),
	}
}

func messages(n int) []transport.Message {
	msgs := make([]transport.Message, n)
	for i := range msgs {
		msgs[i] = testMessage(fmt.Sprint(i))
	}
	return msgs
}

// broker answers the address of one that has the topology.
func broker(t *testing.T, queues ...transport.Queue) string {
	t.Helper()
	url := testservers.AMQP(t)
	apply(t, url, queues...)
	return url
}

func apply(t *testing.T, url string, queues ...transport.Queue) {
	t.Helper()
	if err := Apply(t.Context(), url, topologyOf(queues...)); err != nil {
		t.Fatal(err)
	}
}

func newTransport(t *testing.T, url string, cfg Config) *Transport {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	tr, err := New(url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// consume runs consumers until the test ends or stop is called, which waits for their end.
func consume(t *testing.T, tr *Transport, consumers ...transport.Consumer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Consume(ctx, consumers) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("Consume did not end")
		}
	}
	t.Cleanup(stop)
	return stop
}

func consumer(q transport.Queue, workers int, handle func(transport.Delivery) transport.Outcome) transport.Consumer {
	return transport.Consumer{Queue: q, Workers: workers, Ready: ready, Handle: handle}
}

func ready(context.Context) error { return nil }

// operator is a plain channel to look at and to disturb the broker with.
func operator(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil && !errors.Is(err, amqp.ErrClosed) && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// take waits for a message in a queue and removes it.
func take(t *testing.T, ch *amqp.Channel, queue string) amqp.Delivery {
	t.Helper()
	var d amqp.Delivery
	eventually(t, "a message in "+queue, func() bool {
		var ok bool
		var err error
		if d, ok, err = ch.Get(queue, true); err != nil {
			t.Fatal(err)
		}
		return ok
	})
	return d
}

// count is the number of messages that wait in a queue to be delivered.
func count(t *testing.T, ch *amqp.Channel, queue string) int {
	t.Helper()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}

func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("unreachable")
	}
}

// publish sends until everything is confirmed, as the relay does.
func publish(t *testing.T, tr *Transport, msgs ...transport.Message) {
	t.Helper()
	eventually(t, "confirm", func() bool {
		var again []transport.Message
		for i, err := range tr.Publish(t.Context(), msgs) {
			if err != nil {
				again = append(again, msgs[i])
			}
		}
		msgs = again
		return len(msgs) == 0
	})
}
