package rabbitmq_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// hostile is a message from a program that is not ours, and the reason of its dead letter if its handler always fails.
type hostile struct {
	publishing amqp.Publishing
	reason     transport.Reason
}

// hostileMessages returns messages by name.
func hostileMessages() map[string]hostile {
	booleans := make([]any, 9000)
	for i := range booleans {
		booleans[i] = true
	}
	table := amqp.Table{}
	for i := range 9000 {
		table[fmt.Sprint(i)] = true
	}
	var nested any = true
	for range 40 {
		nested = []any{nested}
	}
	withHeaders := func(h amqp.Table, reason transport.Reason) hostile {
		return hostile{amqp.Publishing{Headers: h}, reason}
	}
	const broken = "\xff\xfe\x00"
	return map[string]hostile{
		"array of 9000 booleans": withHeaders(amqp.Table{"a": booleans}, transport.ReasonUndecodable),
		"table of 9000 entries":  withHeaders(amqp.Table{"a": table}, transport.ReasonUndecodable),
		"40 nested arrays":       withHeaders(amqp.Table{"a": nested}, transport.ReasonUndecodable),
		"header of 130900 bytes": withHeaders(amqp.Table{"h": strings.Repeat("h", 130_900)}, transport.ReasonFailed),
		"largest attempt":        withHeaders(amqp.Table{"retry-attempt": int64(math.MaxInt64)}, transport.ReasonFailed),
		"smallest attempt":       withHeaders(amqp.Table{"retry-attempt": int64(math.MinInt64)}, transport.ReasonFailed),
		"attempt as text":        withHeaders(amqp.Table{"retry-attempt": "1"}, transport.ReasonFailed),
		"forged retry headers": withHeaders(amqp.Table{
			"retry-first-failed-at": "9999-12-31T23:59:59Z", "retry-last-error": strings.Repeat(broken, 10_000),
			"retry-traceparent": broken, "dead-letter-reason": broken, "publish-number": "1", "x-death": "none", "x-delivery-count": "many",
		}, transport.ReasonFailed),
		"every type": withHeaders(amqp.Table{
			"b": int8(-1), "B": byte(1), "s": int16(1), "u": uint16(1), "i": uint32(1), "I": int32(1), "l": int64(1), "f": float32(1), "d": 1.5,
			"D": amqp.Decimal{Scale: 255, Value: math.MaxInt32}, "T": time.Unix(math.MaxInt32, 0), "V": nil, "x": []byte(broken), "F": amqp.Table{broken: broken},
		}, transport.ReasonFailed),
		"properties": {amqp.Publishing{
			MessageId: broken, Type: broken, AppId: broken, CorrelationId: broken, ReplyTo: broken, ContentType: broken, ContentEncoding: broken,
			Timestamp: time.Unix(1<<40, 0), Priority: 255, Expiration: "3600000", DeliveryMode: 1,
		}, transport.ReasonFailed},
	}
}

// sendTo publishes a message to a queue until the broker confirms it.
func sendTo(t testing.TB, ch *amqp.Channel, queue string, p amqp.Publishing) {
	t.Helper()
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirm, err := ch.PublishWithDeferredConfirm("", queue, true, false, p)
	if err != nil || !confirm.Wait() {
		t.Fatalf("not confirmed: %v", err)
	}
}

// The consumer of a neighbour keeps its connection and its deliveries while undecodable messages arrive.
func TestConsume_UndecodableHeadersAreIsolated(t *testing.T) {
	t.Parallel()
	q, neighbour := newQueue(time.Second), newQueue()
	neighbour.Handler = "order-counted"
	url := brokerWith(t, q, neighbour)
	p := newProxy(t, url, nil)
	running, finish := make(chan struct{}), make(chan struct{})
	failures := make(chan *transport.Failure, 10)
	stop := consume(t, newTransport(t, p.url, rabbitmq.Config{}),
		consumer(q, 1, func(d transport.Delivery) transport.Outcome {
			failures <- d.Failure
			return transport.Outcome{Action: transport.DeadLetter, Reason: d.Failure.Reason, Err: d.Failure.Err, Attempt: 1}
		}),
		consumer(neighbour, 1, func(transport.Delivery) transport.Outcome {
			close(running)
			<-finish
			return transport.Outcome{}
		}))
	ch := operator(t, url)
	sendTo(t, ch, rabbitmq.QueueName(neighbour), amqp.Publishing{})
	receive(t, "delivery of the neighbour", running)
	sendTo(t, ch, rabbitmq.QueueName(q), amqp.Publishing{Headers: hostileMessages()["array of 9000 booleans"].publishing.Headers, MessageId: "1"})
	if f := receive(t, "delivery", failures); f == nil || !strings.Contains(f.Err.Error(), "8192 elements") {
		t.Errorf("failure %v", f)
	}
	d := takeMessage(t, ch, rabbitmq.DeadLetterQueueName(q))
	if d.MessageId != "1" || d.Headers["dead-letter-reason"] != "undecodable" || d.Headers["undecodable-headers"] != nil {
		t.Errorf("dead letter %s with %v", d.MessageId, d.Headers)
	}
	close(finish)
	stop()
	if n := countReady(t, ch, rabbitmq.QueueName(neighbour)); n != 0 {
		t.Errorf("the neighbour lost its connection: %d messages were delivered again", n)
	}
}

// What the broker gives up is counted once, with the reason, when it is among the dead letters.
func TestConsume_CountsUndeliveredMessages(t *testing.T) {
	t.Parallel()
	q := newQueue(time.Second)
	url := brokerWith(t, q)
	ch := operator(t, url)
	sendTo(t, ch, rabbitmq.QueueName(q), amqp.Publishing{MessageId: "expired", Expiration: "1", Body: []byte("expired")})
	eventually(t, "expired message", func() bool { return countReady(t, ch, rabbitmq.UndeliveredQueueName(q)) == 1 })
	sendTo(t, ch, rabbitmq.QueueName(q), amqp.Publishing{MessageId: "limit", Body: []byte("delivery_limit")})
	for countReady(t, ch, rabbitmq.UndeliveredQueueName(q)) < 2 {
		if d, ok, err := ch.Get(rabbitmq.QueueName(q), false); err != nil || ok && d.Reject(true) != nil {
			t.Fatal(err)
		}
	}
	sendTo(t, ch, rabbitmq.QueueName(q), amqp.Publishing{MessageId: "rejected", Body: []byte("rejected")})
	eventually(t, "rejected message", func() bool {
		d, ok, err := ch.Get(rabbitmq.QueueName(q), false)
		return err == nil && ok && d.Reject(false) == nil
	})

	var counted atomic.Int32
	consume(t, newTransport(t, url, rabbitmq.Config{}), consumer(q, 1, func(d transport.Delivery) transport.Outcome {
		if d.Failure == nil || string(d.Failure.Reason) != string(d.Body) {
			t.Errorf("%s has failure %v", d.Body, d.Failure)
			return transport.Outcome{}
		}
		return transport.Outcome{
			Action: transport.DeadLetter, Reason: d.Failure.Reason, Err: d.Failure.Err, Attempt: 1,
			Completed: func() { counted.Add(1) },
		}
	}))
	for range 3 {
		d := takeMessage(t, ch, rabbitmq.DeadLetterQueueName(q))
		if d.Headers["dead-letter-reason"] != string(d.Body) || d.Headers["dead-letter-queue"] != rabbitmq.QueueName(q) {
			t.Errorf("%s has %v", d.Body, d.Headers)
		}
	}
	eventually(t, "an empty undelivered queue", func() bool { return countReady(t, ch, rabbitmq.UndeliveredQueueName(q)) == 0 })
	if n := counted.Load(); n != 3 {
		t.Errorf("counted %d times", n)
	}
}

// The dead letter is counted when it is there, and not before.
func TestConsume_CountsStoredDeadLettersOnly(t *testing.T) {
	t.Parallel()
	q := newQueue(time.Second)
	url := brokerWith(t, q)
	ch := operator(t, url)
	dlq := rabbitmq.DeadLetterQueueName(q)
	if err := ch.QueueUnbind(dlq, dlq, rabbitmq.RetryExchangeName(q.Service), nil); err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	var counted atomic.Int32
	cfg := rabbitmq.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	consume(t, newTransport(t, url, cfg), consumer(q, 1, func(transport.Delivery) transport.Outcome {
		return transport.Outcome{
			Action: transport.DeadLetter, Reason: transport.ReasonPermanent, Err: errors.New("no"), Attempt: 1,
			Completed: func() { counted.Add(1) },
		}
	}))
	sendTo(t, ch, rabbitmq.QueueName(q), amqp.Publishing{})
	eventually(t, "failed move", func() bool { return strings.Contains(log.String(), "cannot move") })
	if n := counted.Load(); n != 0 {
		t.Errorf("counted %d times before it was there", n)
	}
	apply(t, url, q)
	takeMessage(t, ch, dlq)
	eventually(t, "count", func() bool { return counted.Load() == 1 })
}

// A handler that panics in the transport's goroutine does not end the process.
func TestConsume_RejectsAfterPanic(t *testing.T) {
	t.Parallel()
	q := newQueue(time.Second)
	url := brokerWith(t, q)
	ch := operator(t, url)
	consume(t, newTransport(t, url, rabbitmq.Config{}), consumer(q, 1, func(transport.Delivery) transport.Outcome { panic("ouch") }))
	sendTo(t, ch, rabbitmq.QueueName(q), amqp.Publishing{MessageId: "1"})
	if d := takeMessage(t, ch, rabbitmq.DeadLetterQueueName(q)); d.MessageId != "1" {
		t.Errorf("dead letter %s", d.MessageId)
	}
}
