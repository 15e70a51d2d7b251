package rabbitmq

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/pkg/testservers"
)

func TestDepths_CountsWhatIsReadyInEveryQueue(t *testing.T) {
	t.Parallel()
	q := orderCreated(time.Hour, 2*time.Hour)
	url := broker(t, q)
	publish(t, newTransport(t, url, Config{}), messages(3)...)
	ch := operator(t, url)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{RetryQueueName(q, time.Hour), DeadLetterQueueName(q), DeadLetterQueueName(q)} {
		confirm, err := ch.PublishWithDeferredConfirm(RetryExchangeName("inventory"), name, true, false, amqp.Publishing{})
		if err != nil || !confirm.Wait() {
			t.Fatal(err)
		}
	}
	want := map[string]int{
		QueueName(q): 3, RetryQueueName(q, time.Hour): 1, RetryQueueName(q, 2*time.Hour): 0, DeadLetterQueueName(q): 2,
	}
	var got map[string]int
	eventually(t, "full count", func() bool {
		var err error
		if got, err = depthsOf(t.Context(), url, topologyOf(q)); err != nil {
			t.Fatal(err)
		}
		return cmp.Equal(want, got)
	})

	// What is held unacknowledged is not ready.
	eventually(t, "message", func() bool {
		_, ok, err := ch.Get(QueueName(q), false)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	})
	want[QueueName(q)] = 2
	eventually(t, "count without what is held", func() bool {
		got, err := depthsOf(t.Context(), url, topologyOf(q))
		return err == nil && cmp.Equal(want, got)
	})
}

func TestDepths_NamesEveryMissingQueueAndCountsTheOthers(t *testing.T) {
	t.Parallel()
	here, gone := orderCreated(time.Second), orderCreated(time.Second)
	gone.Handler = "order-forgotten"
	url := broker(t, here)
	got, err := depthsOf(t.Context(), url, topologyOf(gone, here))
	if !errors.Is(err, transport.ErrTopology) {
		t.Fatalf("got %v", err)
	}
	for _, name := range []string{QueueName(gone), RetryQueueName(gone, time.Second), DeadLetterQueueName(gone)} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
	want := map[string]int{QueueName(here): 0, RetryQueueName(here, time.Second): 0, DeadLetterQueueName(here): 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDepths_FailsWithoutABroker(t *testing.T) {
	t.Parallel()
	if got, err := depthsOf(t.Context(), nobody(t), topologyOf(orderCreated())); err == nil || errors.Is(err, transport.ErrTopology) || got != nil {
		t.Errorf("got %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := depthsOf(ctx, testservers.AMQP(t), topologyOf(orderCreated())); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := depthsOf(t.Context(), "http://localhost", topologyOf()); err == nil {
		t.Error("accepted http")
	}
}

func depthsOf(ctx context.Context, url string, topologies ...transport.Topology) (map[string]int, error) {
	tr, err := New(url, Config{Name: "depths"})
	if err != nil {
		return nil, err
	}
	depths, err := tr.Depths(ctx, topologies...)
	return depths, errors.Join(err, tr.Close())
}
