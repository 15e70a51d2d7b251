package rabbitmq

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func TestForwarded_KeepsMessageAndDropsHeaders(t *testing.T) {
	t.Parallel()
	q := testQueue(time.Second)
	d := amqp.Delivery{
		Headers: amqp.Table{
			"x-death": []any{}, "X-First-Death-Queue": "q", "CC": []any{"other"}, "traceparent": "00",
			"retry-attempt": int32(2), "retry-first-failed-at": "2026-01-02T03:04:05Z", "retry-last-error": "e", "retry-traceparent": "t", "dead-letter-reason": "permanent",
		},
		UserId: "other", Expiration: "1000", Priority: 1, ReplyTo: "r",
	}
	received := newDelivery(d)
	if received.Attempt != 3 || received.LastError != "e" || received.FirstFailedAt.Year() != 2026 ||
		received.TraceParent != "t" || received.DeadLetterReason != transport.ReasonPermanent {
		t.Errorf("got %+v", received)
	}

	l := forwarded(q, d, received, transport.Outcome{Action: transport.Retry, Err: errors.New(strings.Repeat("é", 2000))})
	if l.exchange != "inventory.retry" || l.key != RetryQueueName(q, time.Second) || !l.mandatory {
		t.Errorf("published to %s, %s", l.exchange, l.key)
	}
	want := amqp.Publishing{
		Headers: amqp.Table{
			"traceparent": "00", "retry-attempt": int64(3), "retry-first-failed-at": "2026-01-02T03:04:05Z",
			"retry-last-error": strings.Repeat("é", 512), "dead-letter-reason": "permanent",
		},
		DeliveryMode: amqp.Persistent, Priority: 1, ReplyTo: "r",
	}
	if diff := cmp.Diff(want, l.publishing); diff != "" {
		t.Error(diff)
	}

	l = forwarded(q, d, received, transport.Outcome{Action: transport.Retry, Uncounted: true})
	if got := l.publishing.Headers[headerAttempt]; got != int64(received.Attempt-1) {
		t.Errorf("an attempt that does not count is recorded as attempt %v", got)
	}
	l = forwarded(testQueue(), d, received, transport.Outcome{Action: transport.Retry, Attempt: 3})
	if l.key != DeadLetterQueueName(q) || l.publishing.Headers["dead-letter-reason"] != "failed" {
		t.Errorf("a retry without retry delays goes to %s with %v", l.key, l.publishing.Headers)
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]error{
		amqp.NotFound: transport.ErrUnroutable, amqp.AccessRefused: transport.ErrTopology,
		amqp.PreconditionFailed: transport.ErrRejected, amqp.FrameError: transport.ErrRejected,
	} {
		err := unknown(&amqp.Error{Code: code, Server: true})
		if !isMessageFault(err) || !errors.Is(classify(err), want) {
			t.Errorf("code %d: %v", code, classify(err))
		}
	}
	for _, err := range []error{
		nil, amqp.ErrClosed, unknown(&amqp.Error{Code: amqp.FrameError}), unknown(&amqp.Error{Code: amqp.ConnectionForced, Server: true}),
	} {
		if isMessageFault(err) {
			t.Errorf("%v is taken for a fault of the message", err)
		}
	}
}

func TestCut_KeepsValidUTF8(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"short", 10, "short"}, {"exact", 5, "exact"}, {"longer", 4, "long"}, {"éé", 3, "é"}, {"é", 1, ""}, {"\xff", 10, "\uFFFD"},
	} {
		if got := cut(c.text, c.limit); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}
