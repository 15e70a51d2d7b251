package rabbitmq

import (
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Every name on the broker is derived here and nowhere else. They are addresses, not labels: a renamed service,
// reaction or rung is a new queue, and the old one keeps its binding and its messages until somebody moves the
// messages and deletes it. A delay that leaves the ladder leaves its rung behind, empty once the delay has passed.

// ExchangeName is the topic exchange that a service publishes its events to: "order.events".
func ExchangeName(publisher string) string { return publisher + ".events" }

// RetryExchangeName is the direct exchange through which a service reaches its own rungs and dead letters:
// "inventory.retry". Routing keys are queue names.
func RetryExchangeName(service string) string { return service + ".retry" }

// QueueName is where a reaction's events wait: "inventory.order-created.q".
func QueueName(q transport.Queue) string { return q.String() + ".q" }

// DeadLetterExchangeName is where the broker itself sends what it gives up on: "inventory.order-created.dlx".
func DeadLetterExchangeName(q transport.Queue) string { return q.String() + ".dlx" }

// DeadLetterQueueName is where a reaction's dead letters end: "inventory.order-created.dlq".
func DeadLetterQueueName(q transport.Queue) string { return q.String() + ".dlq" }

// RungName is where a reaction's events wait for delay before they are delivered again:
// "inventory.order-created.retry.2m".
func RetryQueueName(q transport.Queue, delay time.Duration) string {
	return q.String() + ".retry." + short(delay)
}

// System implements transport.Names.
func (t *Transport) System() string { return "rabbitmq" }

// Destination implements transport.Names: exchange and routing key, in the form that OpenTelemetry's conventions for RabbitMQ give.
func (t *Transport) Destination(publisher, eventType string) string {
	return ExchangeName(publisher) + ":" + eventType
}

// Source implements transport.Names: exchange, routing key and queue.
func (t *Transport) Source(q transport.Queue) string {
	return t.Destination(q.Publisher, q.Type) + ":" + QueueName(q)
}

// short is Go's notation without zero parts: 2m, not 2m0s.
func short(d time.Duration) string {
	s := strings.Replace(d.String(), "h0m", "h", 1)
	if strings.HasSuffix(s, "h0s") || strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}

// bindingKey catches every version of the event; the subscription dispatches on the exact one.
func bindingKey(q transport.Queue) string { return q.EventName() + ".*" }

// rungFor is the shortest rung that is not shorter than delay, or the longest; false without a ladder.
func retryQueueFor(q transport.Queue, delay time.Duration) (name string, ok bool) {
	for _, d := range q.RetryDelays {
		if name = RetryQueueName(q, d); d >= delay {
			break
		}
	}
	return name, name != ""
}
