package rabbitmq

import (
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// All names on the broker are derived here. They are addresses: a renamed service or handler, or another retry delay,
// means a new queue. The old queue keeps its binding and its messages until an operator moves the messages and deletes
// it. A retry queue of a removed delay is empty once that delay has passed.

// ExchangeName returns the topic exchange to which a service publishes its events: "order.events".
func ExchangeName(publisher string) string { return publisher + ".events" }

// RetryExchangeName returns the direct exchange of a service's retry queues and dead letters: "inventory.retry". Its
// routing keys are queue names.
func RetryExchangeName(service string) string { return service + ".retry" }

// QueueName returns the queue of a handler: "inventory.order-created.q".
func QueueName(q transport.Queue) string { return q.String() + ".q" }

// DeadLetterExchangeName returns the exchange to which the broker dead-letters by itself, what it gives up and what the
// service rejects: "inventory.order-created.dlx".
func DeadLetterExchangeName(q transport.Queue) string { return q.String() + ".dlx" }

// UndeliveredQueueName returns the queue of what the broker has dead-lettered by itself:
// "inventory.order-created.undelivered". The service counts each message, adds the reason and moves it to the dead letters.
func UndeliveredQueueName(q transport.Queue) string { return q.String() + ".undelivered" }

// DeadLetterQueueName returns the queue of a handler's dead letters: "inventory.order-created.dlq".
func DeadLetterQueueName(q transport.Queue) string { return q.String() + ".dlq" }

// RetryQueueName returns the queue in which a handler's events wait for a retry delay:
// "inventory.order-created.retry.2m".
func RetryQueueName(q transport.Queue, delay time.Duration) string {
	return q.String() + ".retry." + short(delay)
}

// short formats a duration without zero parts: 2m, not 2m0s.
func short(d time.Duration) string {
	s := strings.Replace(d.String(), "h0m", "h", 1)
	if strings.HasSuffix(s, "h0s") || strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}

// bindingKey matches every version of the event. The bus compares the exact one.
func bindingKey(q transport.Queue) string { return q.EventName() + ".*" }

// retryQueueFor returns the retry queue with the shortest delay that is not shorter than delay, or with the longest. ok is
// false if there are no retry delays.
func retryQueueFor(q transport.Queue, delay time.Duration) (name string, ok bool) {
	for _, d := range q.RetryDelays {
		if name = RetryQueueName(q, d); d >= delay {
			break
		}
	}
	return name, name != ""
}
