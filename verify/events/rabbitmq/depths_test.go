package rabbitmq_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestDepths_CountsReadyMessages(t *testing.T) {
	t.Parallel()
	q := newQueue(time.Hour, 2*time.Hour)
	url := brokerWith(t, q)
	publish(t, newTransport(t, url, rabbitmq.Config{}), newMessages(3)...)
	ch := operator(t, url)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{rabbitmq.RetryQueueName(q, time.Hour), rabbitmq.DeadLetterQueueName(q), rabbitmq.DeadLetterQueueName(q)} {
		confirm, err := ch.PublishWithDeferredConfirm(rabbitmq.RetryExchangeName("inventory"), name, true, false, amqp.Publishing{})
		if err != nil || !confirm.Wait() {
			t.Fatal(err)
		}
	}
	want := map[string]int{
		rabbitmq.QueueName(q): 3, rabbitmq.RetryQueueName(q, time.Hour): 1, rabbitmq.RetryQueueName(q, 2*time.Hour): 0, rabbitmq.DeadLetterQueueName(q): 2,
		rabbitmq.UndeliveredQueueName(q): 0,
	}
	var got map[string]int
	eventually(t, "full count", func() bool {
		var err error
		if got, err = depths(t.Context(), url, newTopology(q)); err != nil {
			t.Fatal(err)
		}
		return cmp.Equal(want, got)
	})

	// An unacknowledged message is not ready.
	eventually(t, "message", func() bool {
		_, ok, err := ch.Get(rabbitmq.QueueName(q), false)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	})
	want[rabbitmq.QueueName(q)] = 2
	eventually(t, "count without the unacknowledged message", func() bool {
		got, err := depths(t.Context(), url, newTopology(q))
		return err == nil && cmp.Equal(want, got)
	})
}

func TestDepths_NamesMissingQueues(t *testing.T) {
	t.Parallel()
	here, gone := newQueue(time.Second), newQueue(time.Second)
	gone.Handler = "order-counted"
	url := brokerWith(t, here)
	got, err := depths(t.Context(), url, newTopology(gone, here))
	if !errors.Is(err, transport.ErrTopology) {
		t.Fatalf("got %v", err)
	}
	for _, name := range []string{rabbitmq.QueueName(gone), rabbitmq.RetryQueueName(gone, time.Second), rabbitmq.DeadLetterQueueName(gone)} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
	want := map[string]int{rabbitmq.QueueName(here): 0, rabbitmq.RetryQueueName(here, time.Second): 0, rabbitmq.DeadLetterQueueName(here): 0, rabbitmq.UndeliveredQueueName(here): 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDepths_FailsWithoutBroker(t *testing.T) {
	t.Parallel()
	if got, err := depths(t.Context(), unusedAddress(t), newTopology(newQueue())); err == nil || errors.Is(err, transport.ErrTopology) || got != nil {
		t.Errorf("got %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := depths(ctx, testservers.AMQP(t), newTopology(newQueue())); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := depths(t.Context(), "http://localhost", newTopology()); err == nil {
		t.Error("accepted http")
	}
}

func depths(ctx context.Context, url string, topologies ...transport.Topology) (map[string]int, error) {
	tr, err := rabbitmq.New(url, rabbitmq.Config{Name: "depths"})
	if err != nil {
		return nil, err
	}
	depths, err := tr.Depths(ctx, topologies...)
	return depths, errors.Join(err, tr.Close())
}
