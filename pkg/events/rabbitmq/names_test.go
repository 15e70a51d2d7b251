package rabbitmq

import (
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func testQueue(retryDelays ...time.Duration) transport.Queue {
	return transport.Queue{
		Service: "inventory", Handler: "order-created", Publisher: "order", Type: "order.created.v1", RetryDelays: retryDelays,
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	q := testQueue()
	for got, want := range map[string]string{
		ExchangeName("order"):                    "order.events",
		RetryExchangeName("inventory"):           "inventory.retry",
		QueueName(q):                             "inventory.order-created.q",
		DeadLetterExchangeName(q):                "inventory.order-created.dlx",
		DeadLetterQueueName(q):                   "inventory.order-created.dlq",
		bindingKey(q):                            "order.created.*",
		RetryQueueName(q, time.Second):           "inventory.order-created.retry.1s",
		RetryQueueName(q, 20*time.Second):        "inventory.order-created.retry.20s",
		RetryQueueName(q, 2*time.Minute):         "inventory.order-created.retry.2m",
		RetryQueueName(q, 10*time.Minute):        "inventory.order-created.retry.10m",
		RetryQueueName(q, 90*time.Second):        "inventory.order-created.retry.1m30s",
		RetryQueueName(q, 250*time.Millisecond):  "inventory.order-created.retry.250ms",
		RetryQueueName(q, time.Hour):             "inventory.order-created.retry.1h",
		RetryQueueName(q, 10*time.Hour):          "inventory.order-created.retry.10h",
		RetryQueueName(q, time.Hour+time.Second): "inventory.order-created.retry.1h1s",
		RetryQueueName(q, time.Hour+time.Minute): "inventory.order-created.retry.1h1m",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRetryQueueFor_ReturnsShortestSufficient(t *testing.T) {
	t.Parallel()
	q := testQueue(time.Second, 5*time.Second, time.Minute)
	for delay, want := range map[time.Duration]time.Duration{
		0:                time.Second,
		time.Second:      time.Second,
		1100 * 1_000_000: 5 * time.Second,
		time.Minute:      time.Minute,
		time.Hour:        time.Minute,
	} {
		if got, ok := retryQueueFor(q, delay); !ok || got != RetryQueueName(q, want) {
			t.Errorf("%v: got %s", delay, got)
		}
	}
	if got, ok := retryQueueFor(testQueue(), time.Second); ok {
		t.Errorf("without retry delays: got %s", got)
	}
}
