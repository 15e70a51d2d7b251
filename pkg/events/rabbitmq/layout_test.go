package rabbitmq

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func TestLayout(t *testing.T) {
	t.Parallel()
	q := testQueue(time.Second, time.Second, 1500*time.Microsecond)
	l := newLayout(transport.Topology{Service: "inventory", Queues: []transport.Queue{q}})

	var exchanges, queues []string
	for _, e := range l.exchanges {
		exchanges = append(exchanges, e.name+" "+e.kind)
	}
	for _, q := range l.queues {
		queues = append(queues, q.name)
	}
	if diff := cmp.Diff([]string{
		"inventory.events topic", "inventory.retry direct", "order.events topic", "inventory.order-created.dlx fanout",
	}, exchanges); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"inventory.order-created.dlq", "inventory.order-created.q", "inventory.order-created.undelivered",
		"inventory.order-created.retry.1s", "inventory.order-created.retry.1.5ms",
	}, queues); diff != "" {
		t.Error(diff)
	}
	for _, want := range []binding{
		{"inventory.order-created.q", "order.created.*", "order.events"},
		{"inventory.order-created.undelivered", "", "inventory.order-created.dlx"},
		{"inventory.order-created.dlq", "inventory.order-created.dlq", "inventory.retry"},
		{"inventory.order-created.retry.1s", "inventory.order-created.retry.1s", "inventory.retry"},
	} {
		if !slices.Contains(l.bindings, want) {
			t.Errorf("no binding %v", want)
		}
	}
	t.Run("no queue drops a message", func(t *testing.T) {
		for _, q := range l.queues {
			if q.args["x-queue-type"] != "quorum" || q.args["x-overflow"] != "reject-publish" {
				t.Errorf("%s has %v", q.name, q.args)
			}
			if _, deadLetters := q.args["x-dead-letter-exchange"]; deadLetters && q.args["x-dead-letter-strategy"] != "at-least-once" {
				t.Errorf("%s has %v", q.name, q.args)
			}
		}
	})
	t.Run("a retry is never early", func(t *testing.T) {
		if ttl := l.queues[4].args["x-message-ttl"]; ttl != int64(2) {
			t.Errorf("1.5ms became %v ms", ttl)
		}
	})
}
