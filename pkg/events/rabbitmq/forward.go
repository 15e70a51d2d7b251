package rabbitmq

import (
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func newDelivery(d amqp.Delivery) transport.Delivery {
	r := transport.Delivery{Body: d.Body, Attempt: attempts(d.Headers) + 1}
	if s, ok := d.Headers[headerFirstFailedAt].(string); ok {
		// The zero time stands for a header that somebody else has written.
		r.FirstFailedAt, _ = time.Parse(time.RFC3339Nano, s)
	}
	r.LastError, _ = d.Headers[headerLastError].(string)
	r.TraceParent, _ = d.Headers[headerRetryTrace].(string)
	if reason, ok := d.Headers[headerDeadLetterReason].(string); ok {
		r.DeadLetterReason = transport.Reason(reason)
	}
	return r
}

// attempts so far. Whoever replays a message by hand may write another type of integer than we do.
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

// forwarded is the delivery on its way to a rung or to the dead letters. Body and properties stay, but for what
// would act again: an expiration, copies to other queues (CC, BCC), a user that is not us, and x- headers, which
// are the broker's.
func forwarded(q transport.Queue, d amqp.Delivery, received transport.Delivery, v transport.Outcome) *message {
	headers := amqp.Table{}
	for name, value := range d.Headers {
		if !strings.HasPrefix(strings.ToLower(name), "x-") && name != "CC" && name != "BCC" {
			headers[name] = value
		}
	}
	now := time.Now()
	failedAt := v.FirstFailedAt
	if failedAt.IsZero() {
		failedAt = received.FirstFailedAt
	}
	if failedAt.IsZero() {
		failedAt = now
	}
	headers[headerFirstFailedAt] = stamp(failedAt)
	delete(headers, headerRetryTrace)
	if v.TraceParent != "" {
		headers[headerRetryTrace] = v.TraceParent
	}
	headers[headerLastError] = ""
	if v.Err != nil {
		headers[headerLastError] = cut(v.Err.Error(), maxErrorText)
	}

	rung, hasLadder := retryQueueFor(q, v.Delay)
	key := rung
	switch {
	case v.Action == transport.Retry && hasLadder:
		headers[headerAttempt] = int64(received.Attempt)
	default:
		// A retry without a ladder ends here too: there is nowhere to wait.
		reason := v.Reason
		if reason == "" {
			reason = transport.ReasonFailed
		}
		key = DeadLetterQueueName(q)
		headers[headerAttempt] = int64(v.Attempt)
		headers[headerDeadLetterReason] = string(reason)
		headers[headerDeadLetterQueue] = QueueName(q)
		headers[headerDeadLetteredAt] = stamp(now)
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

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
