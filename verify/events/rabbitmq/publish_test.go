package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// nobody is an address where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return "amqp://guest:guest@" + l.Addr().String()
}

func TestPublish_RepeatsTheEnvelopeInProperties(t *testing.T) {
	t.Parallel()
	q := orderCreated()
	url := broker(t, q)
	m := testMessage("1")
	m.CorrelationID, m.TraceParent, m.TraceState = strings.Repeat("é", 200), "00-1-2-01", strings.Repeat("x", maxTraceHeader+1)
	m.Mandatory = false
	publish(t, newTransport(t, url, Config{}), m)

	d := take(t, operator(t, url), QueueName(q))
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

func TestPublish_WithoutQueueOnlyOpenEventsAreDone(t *testing.T) {
	t.Parallel()
	url := broker(t, transport.Queue{Service: "inventory", Handler: "x", Publisher: "order", Type: "order.paid.v1"})
	open := testMessage("2")
	open.Mandatory = false
	errs := newTransport(t, url, Config{}).Publish(t.Context(), []transport.Message{testMessage("1"), open})
	if !errors.Is(errs[0], transport.ErrUnroutable) {
		t.Errorf("mandatory: %v", errs[0])
	}
	if errs[1] != nil {
		t.Errorf("open: %v", errs[1])
	}
}

func TestPublish_NackIsRefused(t *testing.T) {
	t.Parallel()
	url := broker(t, transport.Queue{Service: "inventory", Handler: "x", Publisher: "order", Type: "order.paid.v1"})
	ch := operator(t, url)
	if _, err := ch.QueueDeclare("small", true, false, false, false, amqp.Table{
		"x-max-length": int32(1), "x-overflow": "reject-publish",
	}); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind("small", "order.created.*", "order.events", false, nil); err != nil {
		t.Fatal(err)
	}
	tr := newTransport(t, url, Config{})
	publish(t, tr, testMessage("1"))
	for _, err := range tr.Publish(t.Context(), messages(3)) {
		if !errors.Is(err, transport.ErrRejected) {
			t.Errorf("got %v", err)
		}
	}
}

// A message with an expiration that is no number is refused like one that is too large: 406, and the channel closes.
func TestPublish_OnlyTheCulpritIsRefused(t *testing.T) {
	t.Parallel()
	q := orderCreated()
	url := broker(t, q)
	tr := newTransport(t, url, Config{})
	const n = 50
	culprits := map[int]bool{7: true, 8: true, 49: true}
	letters := make([]*message, n)
	for i := range letters {
		letters[i] = newMessage(testMessage(fmt.Sprint(i)))
		if culprits[i] {
			letters[i].publishing.Expiration = "soon"
		}
	}
	tr.publisher.publish(t.Context(), letters)

	arrived := map[string]bool{}
	ch := operator(t, url)
	for len(arrived) < n-len(culprits) {
		arrived[take(t, ch, QueueName(q)).MessageId] = true
	}
	for i, l := range letters {
		switch {
		case culprits[i] && !errors.Is(l.err, transport.ErrRejected):
			t.Errorf("culprit %d: %v", i, l.err)
		case !culprits[i] && (l.err != nil || !arrived[fmt.Sprint(i)]):
			t.Errorf("bystander %d: %v", i, l.err)
		}
	}
	publish(t, tr, testMessage("after"))
}

func TestPublish_WaitsForAMissingExchange(t *testing.T) {
	t.Parallel()
	q := orderCreated()
	url := broker(t, q)
	tr := newTransport(t, url, Config{})
	lost := testMessage("1")
	lost.Publisher = "nobody"
	errs := tr.Publish(t.Context(), []transport.Message{lost, testMessage("2"), lost, testMessage("3")})
	for i, err := range errs {
		if missing := i%2 == 0; errors.Is(err, transport.ErrUnroutable) != missing || (err == nil) == missing {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func TestPublish_RefusesNamesThatDoNotFit(t *testing.T) {
	t.Parallel()
	url := broker(t, orderCreated())
	long := testMessage("1")
	long.Type = strings.Repeat("a", 300)
	errs := newTransport(t, url, Config{}).Publish(t.Context(), []transport.Message{long, testMessage("2")})
	if !errors.Is(errs[0], transport.ErrRejected) || errs[1] != nil {
		t.Errorf("got %v", errs)
	}
}

func TestPublish_MatchesReturnsUnderConcurrency(t *testing.T) {
	t.Parallel()
	q := orderCreated()
	tr := newTransport(t, broker(t, q), Config{})
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			msgs := messages(2 * maxBatch)
			for i := range msgs {
				if i%3 == 0 {
					msgs[i].Type = "order.unheard.v1"
				}
			}
			for i, err := range tr.Publish(t.Context(), msgs) {
				if unheard := i%3 == 0; errors.Is(err, transport.ErrUnroutable) != unheard || (err == nil) == unheard {
					t.Errorf("message %d: %v", i, err)
				}
			}
		})
	}
	callers.Wait()
}

func TestPublish_BrokerAwayIsUnknownForAll(t *testing.T) {
	t.Parallel()
	for _, err := range newTransport(t, nobody(t), Config{}).Publish(t.Context(), messages(3*maxBatch)) {
		if err == nil || errors.Is(err, transport.ErrRejected) || errors.Is(err, transport.ErrUnroutable) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestPublish_AfterCloseFails(t *testing.T) {
	t.Parallel()
	tr := newTransport(t, broker(t, orderCreated()), Config{})
	publish(t, tr, testMessage("1"))
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if errs := tr.Publish(t.Context(), messages(1)); !errors.Is(errs[0], errClosed) {
		t.Errorf("got %v", errs[0])
	}
}

func TestPublish_LostConfirmIsUnknownAndTheNextIsSound(t *testing.T) {
	t.Parallel()
	q := orderCreated()
	url := broker(t, q)
	p := newProxy(t, url)
	tr := newTransport(t, p.url, Config{})
	publish(t, tr, testMessage("1"))

	p.stall(false, true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	errs := tr.Publish(ctx, []transport.Message{testMessage("2")})
	if !errors.Is(errs[0], context.DeadlineExceeded) {
		t.Errorf("got %v", errs[0])
	}
	publish(t, tr, testMessage("3"))

	ch := operator(t, url)
	for _, want := range []string{"1", "2", "3"} {
		if got := take(t, ch, QueueName(q)).MessageId; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestPublish_CutConnectionIsUnknown(t *testing.T) {
	t.Parallel()
	p := newProxy(t, broker(t, orderCreated()))
	tr := newTransport(t, p.url, Config{})
	publish(t, tr, testMessage("1"))

	p.stall(false, true)
	result := make(chan []error)
	go func() { result <- tr.Publish(context.Background(), messages(20)) }()
	eventually(t, "message in flight", func() bool {
		tr.publisher.mu.Lock()
		defer tr.publisher.mu.Unlock()
		return tr.publisher.current.ch.GetNextPublishSeqNo() > 21
	})
	p.cut()
	for _, err := range receive(t, "outcome", result) {
		if err == nil || errors.Is(err, transport.ErrRejected) || errors.Is(err, transport.ErrUnroutable) {
			t.Errorf("got %v", err)
		}
	}
	publish(t, tr, testMessage("3"))
}

func TestPublish_StuckSocketHoldsNobodyPastTheContext(t *testing.T) {
	t.Parallel()
	p := newProxy(t, broker(t, orderCreated()))
	tr := newTransport(t, p.url, Config{WriteTimeout: time.Hour})
	publish(t, tr, testMessage("1"))

	p.stall(true, true)
	msgs := messages(100)
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
	publish(t, tr, testMessage("2"))
}

func TestPublish_BlockedBrokerIsAwayAndKeepsItsConnection(t *testing.T) {
	t.Parallel()
	p := newProxy(t, broker(t, orderCreated()))
	tr := newTransport(t, p.url, Config{})
	publish(t, tr, testMessage("1"))
	session := tr.publisher.current

	p.inject(t, []byte{1, 0, 0, 0, 0, 0, 8, 0, 10, 0, 60, 3, 'l', 'o', 'w', 0xCE}) // connection.blocked
	eventually(t, "notice", session.blocked.Load)
	if errs := tr.Publish(t.Context(), messages(2)); !errors.Is(errs[1], errBlocked) {
		t.Errorf("got %v", errs)
	}
	p.inject(t, []byte{1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, 0xCE}) // connection.unblocked
	publish(t, tr, testMessage("2"))
	if tr.publisher.current != session {
		t.Error("the connection was replaced")
	}
}

func TestBlame(t *testing.T) {
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
			t.Errorf("blames the message for %v", err)
		}
	}
}
