package rabbitmq_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// batchSize is the most messages that the transport has in flight for one call.
const batchSize = 256

// unusedAddress returns the address of a port that nothing listens on.
func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return "amqp://guest:guest@" + l.Addr().String()
}

func TestPublish_CopiesEnvelopeToProperties(t *testing.T) {
	t.Parallel()
	q := newQueue()
	url := brokerWith(t, q)
	m := newMessage("1")
	m.CorrelationID, m.TraceParent, m.TraceState = strings.Repeat("é", 200), "00-1-2-01", strings.Repeat("x", 4<<10+1)
	m.Mandatory = false
	publish(t, newTransport(t, url, rabbitmq.Config{}), m)

	d := takeMessage(t, operator(t, url), rabbitmq.QueueName(q))
	got := amqp.Publishing{
		Headers: d.Headers, ContentType: d.ContentType, DeliveryMode: d.DeliveryMode, CorrelationId: d.CorrelationId,
		MessageId: d.MessageId, Timestamp: d.Timestamp.UTC(), Type: d.Type, AppId: d.AppId, Body: d.Body,
	}
	delete(got.Headers, "x-delivery-count")
	want := amqp.Publishing{
		Headers:     amqp.Table{"traceparent": "00-1-2-01"},
		ContentType: transport.ContentType, DeliveryMode: amqp.Persistent, CorrelationId: strings.Repeat("é", 127),
		MessageId: "1", Timestamp: m.Time, Type: "order.created.v1", AppId: "order", Body: m.Body,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if d.Exchange != "order.events" || d.RoutingKey != "order.created.v1" {
		t.Errorf("came through %s with key %s", d.Exchange, d.RoutingKey)
	}
}

func TestPublish_UnroutableOnlyIfMandatory(t *testing.T) {
	t.Parallel()
	url := brokerWith(t, transport.Queue{Service: "inventory", Handler: "x", Publisher: "order", Type: "order.paid.v1"})
	optional := newMessage("2")
	optional.Mandatory = false
	errs := newTransport(t, url, rabbitmq.Config{}).Publish(t.Context(), []transport.Message{newMessage("1"), optional})
	if !errors.Is(errs[0], transport.ErrUnroutable) {
		t.Errorf("mandatory: %v", errs[0])
	}
	if errs[1] != nil {
		t.Errorf("not mandatory: %v", errs[1])
	}
}

func TestPublish_NackIsRejection(t *testing.T) {
	t.Parallel()
	url := brokerWith(t, transport.Queue{Service: "inventory", Handler: "x", Publisher: "order", Type: "order.paid.v1"})
	ch := operator(t, url)
	if _, err := ch.QueueDeclare("small", true, false, false, false, amqp.Table{
		"x-max-length": int32(1), "x-overflow": "reject-publish",
	}); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind("small", "order.created.*", "order.events", false, nil); err != nil {
		t.Fatal(err)
	}
	tr := newTransport(t, url, rabbitmq.Config{})
	publish(t, tr, newMessage("1"))
	for _, err := range tr.Publish(t.Context(), newMessages(3)) {
		if !errors.Is(err, transport.ErrRejected) {
			t.Errorf("got %v", err)
		}
	}
}

// A message with an expiration that is no number is rejected like one that is too large: the broker closes the channel
// with 406. No message of the library has an expiration, so the proxy makes one of each correlation id.
func TestPublish_RejectsOnlyFaultyMessages(t *testing.T) {
	t.Parallel()
	const correlationID, expiration = 1 << 10, 1 << 8 // flags of the content header; both are short strings
	q := newQueue()
	url := brokerWith(t, q)
	p := newProxy(t, url, func(header []byte) {
		flags := header[12:14] // after class, weight and body size
		if set := binary.BigEndian.Uint16(flags); set&correlationID != 0 {
			binary.BigEndian.PutUint16(flags, set&^correlationID|expiration)
		}
	})
	tr := newTransport(t, p.url, rabbitmq.Config{})
	const n = 50
	faulty := map[int]bool{7: true, 8: true, 49: true}
	msgs := newMessages(n)
	for i := range faulty {
		msgs[i].CorrelationID = "soon"
	}
	errs := tr.Publish(t.Context(), msgs)

	arrived := map[string]bool{}
	ch := operator(t, url)
	for len(arrived) < n-len(faulty) {
		arrived[takeMessage(t, ch, rabbitmq.QueueName(q)).MessageId] = true
	}
	for i, err := range errs {
		switch {
		case faulty[i] && !errors.Is(err, transport.ErrRejected):
			t.Errorf("faulty message %d: %v", i, err)
		case !faulty[i] && (err != nil || !arrived[fmt.Sprint(i)]):
			t.Errorf("other message %d: %v", i, err)
		}
	}
	publish(t, tr, newMessage("after"))
}

func TestPublish_MissingExchangeIsUnroutable(t *testing.T) {
	t.Parallel()
	q := newQueue()
	url := brokerWith(t, q)
	tr := newTransport(t, url, rabbitmq.Config{})
	lost := newMessage("1")
	lost.Publisher = "unknown"
	errs := tr.Publish(t.Context(), []transport.Message{lost, newMessage("2"), lost, newMessage("3")})
	for i, err := range errs {
		if missing := i%2 == 0; errors.Is(err, transport.ErrUnroutable) != missing || (err == nil) == missing {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func TestPublish_RejectsLongRoutingKey(t *testing.T) {
	t.Parallel()
	url := brokerWith(t, newQueue())
	long := newMessage("1")
	long.Type = strings.Repeat("a", 300)
	errs := newTransport(t, url, rabbitmq.Config{}).Publish(t.Context(), []transport.Message{long, newMessage("2")})
	if !errors.Is(errs[0], transport.ErrRejected) || errs[1] != nil {
		t.Errorf("got %v", errs)
	}
}

func TestPublish_MatchesReturnsConcurrently(t *testing.T) {
	t.Parallel()
	q := newQueue()
	tr := newTransport(t, brokerWith(t, q), rabbitmq.Config{})
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			msgs := newMessages(2 * batchSize)
			for i := range msgs {
				if i%3 == 0 {
					msgs[i].Type = "order.unbound.v1"
				}
			}
			for i, err := range tr.Publish(t.Context(), msgs) {
				if unbound := i%3 == 0; errors.Is(err, transport.ErrUnroutable) != unbound || (err == nil) == unbound {
					t.Errorf("message %d: %v", i, err)
				}
			}
		})
	}
	callers.Wait()
}

func TestPublish_UnavailableBrokerIsUnknown(t *testing.T) {
	t.Parallel()
	for _, err := range newTransport(t, unusedAddress(t), rabbitmq.Config{}).Publish(t.Context(), newMessages(3*batchSize)) {
		if err == nil || errors.Is(err, transport.ErrRejected) || errors.Is(err, transport.ErrUnroutable) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestPublish_FailsAfterClose(t *testing.T) {
	t.Parallel()
	tr := newTransport(t, brokerWith(t, newQueue()), rabbitmq.Config{})
	publish(t, tr, newMessage("1"))
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if errs := tr.Publish(t.Context(), newMessages(1)); errs[0] == nil || !strings.Contains(errs[0].Error(), "closed") {
		t.Errorf("got %v", errs[0])
	}
}

func TestPublish_LostConfirmIsUnknown(t *testing.T) {
	t.Parallel()
	q := newQueue()
	url := brokerWith(t, q)
	p := newProxy(t, url, nil)
	tr := newTransport(t, p.url, rabbitmq.Config{})
	publish(t, tr, newMessage("1"))

	p.stall(false, true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	errs := tr.Publish(ctx, []transport.Message{newMessage("2")})
	if !errors.Is(errs[0], context.DeadlineExceeded) {
		t.Errorf("got %v", errs[0])
	}
	publish(t, tr, newMessage("3"))

	ch := operator(t, url)
	for _, want := range []string{"1", "2", "3"} {
		if got := takeMessage(t, ch, rabbitmq.QueueName(q)).MessageId; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestPublish_CutConnectionIsUnknown(t *testing.T) {
	t.Parallel()
	q := newQueue()
	url := brokerWith(t, q)
	p := newProxy(t, url, nil)
	tr := newTransport(t, p.url, rabbitmq.Config{})
	publish(t, tr, newMessage("1"))

	p.stall(false, true)
	result := make(chan []error)
	go func() { result <- tr.Publish(context.Background(), newMessages(20)) }()
	ch := operator(t, url)
	eventually(t, "messages on the broker", func() bool { return countReady(t, ch, rabbitmq.QueueName(q)) == 21 })
	p.cut()
	for _, err := range receive(t, "outcome", result) {
		if err == nil || errors.Is(err, transport.ErrRejected) || errors.Is(err, transport.ErrUnroutable) {
			t.Errorf("got %v", err)
		}
	}
	publish(t, tr, newMessage("3"))
}

func TestPublish_StuckSocketEndsWithContext(t *testing.T) {
	t.Parallel()
	p := newProxy(t, brokerWith(t, newQueue()), nil)
	tr := newTransport(t, p.url, rabbitmq.Config{WriteTimeout: time.Hour})
	publish(t, tr, newMessage("1"))

	p.stall(true, true)
	msgs := newMessages(100)
	for i := range msgs {
		msgs[i].Body = make([]byte, 1<<20)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	result := make(chan []error)
	go func() { result <- tr.Publish(ctx, msgs) }()
	for _, err := range receive(t, "outcome", result) {
		if err == nil || errors.Is(err, transport.ErrRejected) {
			t.Fatalf("got %v", err)
		}
	}
	publish(t, tr, newMessage("2"))
}

func TestPublish_BlockedBrokerKeepsConnection(t *testing.T) {
	t.Parallel()
	p := newProxy(t, brokerWith(t, newQueue()), nil)
	tr := newTransport(t, p.url, rabbitmq.Config{})
	publish(t, tr, newMessage("1"))
	connections := p.accepted.Load()

	p.inject(t, []byte{1, 0, 0, 0, 0, 0, 8, 0, 10, 0, 60, 3, 'l', 'o', 'w', 0xCE}) // connection.blocked
	eventually(t, "notice of it", func() bool {
		err := tr.Publish(t.Context(), newMessages(2))[1]
		return err != nil && strings.Contains(err.Error(), "blocked publishers") &&
			!errors.Is(err, transport.ErrRejected) && !errors.Is(err, transport.ErrUnroutable)
	})
	p.inject(t, []byte{1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, 0xCE}) // connection.unblocked
	publish(t, tr, newMessage("2"))
	if n := p.accepted.Load(); n != connections {
		t.Errorf("the connection was replaced: %d of %d are new", n-connections, n)
	}
}
