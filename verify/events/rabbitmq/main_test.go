package rabbitmq_test

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
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestMain(m *testing.M) {
	testservers.Main(m)
	http.DefaultClient.CloseIdleConnections() // connections to the broker's management API
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// timeout bounds each wait of a test.
const timeout = 2 * time.Minute

func newQueue(retryDelays ...time.Duration) transport.Queue {
	return transport.Queue{
		Service: "inventory", Handler: "order-created", Publisher: "order", Type: "order.created.v1", RetryDelays: retryDelays,
	}
}

func newTopology(queues ...transport.Queue) transport.Topology {
	return transport.Topology{Service: "inventory", Queues: queues}
}

func newMessage(id string) transport.Message {
	return transport.Message{
		Metadata:  events.Metadata{ID: id, Type: "order.created.v1", Time: time.Unix(1_700_000_000, 0).UTC()},
		Publisher: "order", Mandatory: true, Body: []byte(`{"id":"` + id + `"}`),
	}
}

func newMessages(n int) []transport.Message {
	msgs := make([]transport.Message, n)
	for i := range msgs {
		msgs[i] = newMessage(fmt.Sprint(i))
	}
	return msgs
}

// brokerWith returns the address of a virtual host with these queues.
func brokerWith(t *testing.T, queues ...transport.Queue) string {
	t.Helper()
	url := testservers.AMQP(t)
	apply(t, url, queues...)
	return url
}

func apply(t *testing.T, url string, queues ...transport.Queue) {
	t.Helper()
	if err := rabbitmq.Declare(t.Context(), url, newTopology(queues...)); err != nil {
		t.Fatal(err)
	}
}

func newTransport(t *testing.T, url string, cfg rabbitmq.Config) *rabbitmq.Transport {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	tr, err := rabbitmq.New(url, cfg)
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

// consume runs consumers until the test ends or stop is called. Both block until Consume has returned.
func consume(t *testing.T, tr *rabbitmq.Transport, consumers ...transport.Consumer) (stop func()) {
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
		case <-time.After(timeout):
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

// operator opens a channel for looking at queues and changing them.
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

// takeMessage waits for a message in a queue and removes it.
func takeMessage(t *testing.T, ch *amqp.Channel, queue string) amqp.Delivery {
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

// countReady returns the number of messages in a queue that are ready to be delivered.
func countReady(t testing.TB, ch *amqp.Channel, queue string) int {
	t.Helper()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(timeout)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no %s within %v", what, timeout)
		}
	}
}

func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(timeout):
		t.Fatalf("no %s within %v", what, timeout)
		panic("unreachable")
	}
}

// publish sends the messages, like the relay, until all are confirmed.
func publish(t *testing.T, tr *rabbitmq.Transport, msgs ...transport.Message) {
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
