package rabbitmq

import (
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func newDelivery(d amqp.Delivery) transport.Delivery {
	received := transport.Delivery{Body: d.Body, Attempt: attempts(d.Headers) + 1}
	if s, ok := d.Headers[headerFirstFailedAt].(string); ok {
		// The time is zero if another program has written the header in another form.
		received.FirstFailedAt, _ = time.Parse(time.RFC3339Nano, s)
	}
	received.LastError, _ = d.Headers[headerLastError].(string)
	received.TraceParent, _ = d.Headers[headerRetryTrace].(string)
	if reason, ok := d.Headers[headerDeadLetterReason].(string); ok {
		received.DeadLetterReason = transport.Reason(reason)
	}
	return received
}

// attempts returns the attempts so far. A message that was replayed with another tool may have another integer type.
func attempts(h amqp.Table) int {
	switch n := h[headerAttempt].(type) {
	case int64:
		return max(0, int(n))
	case int32:
		return max(0, int(n))
	case int16:
		return max(0, int(n))
	case byte:
		return int(n)
	}
	return 0
}

// forwarded returns the message that moves a delivery to a retry queue or to the dead letters. It keeps body and
// properties, except those that would have an effect again: expiration, copies to other queues (CC, BCC), the user, and
// the broker's own x- headers.
func forwarded(q transport.Queue, d amqp.Delivery, received transport.Delivery, outcome transport.Outcome) *message {
	headers := amqp.Table{}
	for name, value := range d.Headers {
		if !strings.HasPrefix(strings.ToLower(name), "x-") && name != "CC" && name != "BCC" {
			headers[name] = value
		}
	}
	now := time.Now()
	failedAt := outcome.FirstFailedAt
	if failedAt.IsZero() {
		failedAt = received.FirstFailedAt
	}
	if failedAt.IsZero() {
		failedAt = now
	}
	headers[headerFirstFailedAt] = timestamp(failedAt)
	delete(headers, headerRetryTrace)
	if outcome.TraceParent != "" {
		headers[headerRetryTrace] = outcome.TraceParent
	}
	headers[headerLastError] = ""
	if outcome.Err != nil {
		headers[headerLastError] = cut(outcome.Err.Error(), maxErrorText)
	}

	key, hasRetryQueue := retryQueueFor(q, outcome.Delay)
	switch {
	case outcome.Action == transport.Retry && hasRetryQueue:
		headers[headerAttempt] = int64(received.Attempt)
		if outcome.Uncounted {
			headers[headerAttempt] = int64(received.Attempt - 1)
		}
	default: // a retry without retry delays too
		reason := outcome.Reason
		if reason == "" {
			reason = transport.ReasonFailed
		}
		key = DeadLetterQueueName(q)
		headers[headerAttempt] = int64(outcome.Attempt)
		headers[headerDeadLetterReason] = string(reason)
		headers[headerDeadLetterQueue] = QueueName(q)
		headers[headerDeadLetteredAt] = timestamp(now)
	}
	return &message{
		exchange: RetryExchangeName(q.Service), key: key, mandatory: true,
		publishing: amqp.Publishing{
			Headers:         headers,
			ContentType:     d.ContentType,
			ContentEncoding: d.ContentEncoding,
			DeliveryMode:    amqp.Persistent,
			Priority:        d.Priority,
			CorrelationId:   d.CorrelationId,
			ReplyTo:         d.ReplyTo,
			MessageId:       d.MessageId,
			Timestamp:       d.Timestamp,
			Type:            d.Type,
			AppId:           d.AppId,
			Body:            d.Body,
		},
	}
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
