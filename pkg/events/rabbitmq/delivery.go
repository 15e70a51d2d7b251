package rabbitmq

import (
	"errors"
	"fmt"
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
	received.LastError = text(d.Headers, headerLastError, maxErrorText)
	received.TraceParent = text(d.Headers, headerRetryTrace, maxShortString)
	received.DeadLetterReason = transport.Reason(text(d.Headers, headerDeadLetterReason, maxShortString))
	if cause := text(d.Headers, headerUndecodable, maxErrorText); cause != "" {
		received.Failure = &transport.Failure{Reason: transport.ReasonUndecodable, Err: errors.New(cause)}
	}
	return received
}

// newUndelivered returns a delivery from the undelivered queue of q. Its failure says why the broker gave it up.
func newUndelivered(q transport.Queue, d amqp.Delivery) transport.Delivery {
	received := newDelivery(d)
	if received.Failure != nil {
		return received
	}
	cause := brokerReason(d.Headers, QueueName(q))
	reason, ok := map[string]transport.Reason{
		"delivery_limit": transport.ReasonDeliveryLimit, "expired": transport.ReasonExpired, "maxlen": transport.ReasonOverflow,
	}[cause]
	if !ok {
		reason = transport.ReasonRejected
	}
	received.Failure = &transport.Failure{Reason: reason, Err: fmt.Errorf("the broker gave the message up: %s", cause)}
	return received
}

// brokerReason returns the reason in the header x-death for which the broker dead-lettered a message from a queue.
func brokerReason(h amqp.Table, queue string) string {
	deaths, _ := h["x-death"].([]any)
	for _, d := range deaths {
		if death, ok := d.(amqp.Table); ok && death["queue"] == queue {
			return text(death, "reason", maxShortString)
		}
	}
	return "unknown reason"
}

// text returns a header that is a string, shortened to n bytes of valid UTF-8, and "" for any other type.
func text(h amqp.Table, name string, n int) string {
	s, _ := h[name].(string)
	return cut(s, n)
}

// attempts returns the attempts so far. A message that was replayed with another tool may have another integer type.
func attempts(h amqp.Table) int {
	var count int64
	switch n := h[headerAttempt].(type) {
	case int64:
		count = n
	case uint32:
		count = int64(n)
	case int32:
		count = int64(n)
	case uint16:
		count = int64(n)
	case int16:
		count = int64(n)
	case byte:
		count = int64(n)
	case int8:
		count = int64(n)
	}
	return int(min(max(0, count), transport.MaxAttempts))
}

// forwarded returns the message that moves a delivery to a retry queue or to the dead letters. It keeps body and
// properties, except those that would have an effect again: expiration, copies to other queues (CC, BCC), the user, and
// the broker's own x- headers. If the headers are too long, it keeps the trace context only.
func forwarded(q transport.Queue, d amqp.Delivery, received transport.Delivery, outcome transport.Outcome) *message {
	headers := amqp.Table{}
	for name, value := range d.Headers {
		if !strings.HasPrefix(strings.ToLower(name), "x-") && name != "CC" && name != "BCC" && name != headerUndecodable {
			headers[name] = value
		}
	}
	if size := tableSize(headers); size > maxForwardedHeaders {
		headers = amqp.Table{headerDroppedHeaders: fmt.Sprintf("%d headers of %d bytes", len(headers), size)}
		for _, name := range []string{headerTraceParent, headerTraceState} {
			if value, ok := d.Headers[name].(string); ok && len(value) <= maxTraceHeader {
				headers[name] = value
			}
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

// tableSize returns the size of a table on the wire.
func tableSize(h amqp.Table) int {
	size := 4
	for name, value := range h {
		size += 1 + len(name) + fieldSize(value)
	}
	return size
}

func fieldSize(value any) int {
	const longest = 9 // of types with a fixed size
	switch v := value.(type) {
	case string:
		return 5 + len(v)
	case []byte:
		return 5 + len(v)
	case amqp.Table:
		return 1 + tableSize(v)
	case []any:
		size := 5
		for _, element := range v {
			size += fieldSize(element)
		}
		return size
	}
	return longest
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
