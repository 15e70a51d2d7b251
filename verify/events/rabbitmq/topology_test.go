package rabbitmq_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestApply_IsIdempotent(t *testing.T) {
	t.Parallel()
	q := newQueue(time.Second, time.Second, 2*time.Minute)
	url := brokerWith(t, q)
	apply(t, url, q)
	if err := newTransport(t, url, rabbitmq.Config{}).Check(t.Context(), newTopology(q)); err != nil {
		t.Error(err)
	}
}

func TestApply_NamesMismatchesAndDeclaresRest(t *testing.T) {
	t.Parallel()
	url := testservers.AMQP(t)
	q := newQueue(time.Second, time.Minute)
	ch := operator(t, url)
	for _, name := range []string{rabbitmq.QueueName(q), rabbitmq.RetryQueueName(q, time.Second)} {
		if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.ExchangeDeclare("inventory.retry", amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}

	err := rabbitmq.Declare(t.Context(), url, newTopology(q))
	if err == nil {
		t.Fatal("applied over other properties")
	}
	for _, want := range []string{rabbitmq.QueueName(q), rabbitmq.RetryQueueName(q, time.Second), "exchange inventory.retry", "inequivalent arg 'x-"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
	if err := newTransport(t, url, rabbitmq.Config{}).Check(t.Context(), newTopology(q)); err != nil {
		t.Errorf("the rest is missing: %v", err)
	}
}

func TestApply_ReportsMissingPermissionOnce(t *testing.T) {
	t.Parallel()
	url := brokerWith(t)
	err := rabbitmq.Declare(t.Context(), testservers.User(t, url, "", "", ""), newTopology(newQueue(time.Second)))
	if err == nil || strings.Count(err.Error(), "ACCESS_REFUSED") != 1 || !strings.Contains(err.Error(), "more that this user may not declare") {
		t.Errorf("got %v", err)
	}
}

func TestCheck_NamesMissingEntities(t *testing.T) {
	t.Parallel()
	first, second := newQueue(time.Second), newQueue(time.Second)
	second.Handler = "order-counted"
	url := brokerWith(t, first)
	ch := operator(t, url)
	if _, err := ch.QueueDelete(rabbitmq.RetryQueueName(first, time.Second), false, false, false); err != nil {
		t.Fatal(err)
	}

	tr := newTransport(t, url, rabbitmq.Config{})
	err := tr.Check(t.Context(), newTopology(first, second))
	if !errors.Is(err, transport.ErrTopology) {
		t.Fatalf("got %v", err)
	}
	for name, missing := range map[string]bool{
		rabbitmq.RetryQueueName(first, time.Second):  true,
		rabbitmq.QueueName(second):                   true,
		rabbitmq.DeadLetterQueueName(second):         true,
		rabbitmq.RetryQueueName(second, time.Second): true,
		rabbitmq.DeadLetterExchangeName(second):      true,
		rabbitmq.QueueName(first):                    false,
		rabbitmq.DeadLetterQueueName(first):          false,
		"inventory.retry":                            false,
	} {
		if strings.Contains(err.Error(), " "+name+":") != missing {
			t.Errorf("%s: missing is %v, but %v", name, missing, err)
		}
	}
}

func TestCheck_UnavailableBrokerIsNoErrTopology(t *testing.T) {
	t.Parallel()
	err := newTransport(t, unusedAddress(t), rabbitmq.Config{}).Check(t.Context(), newTopology())
	if err == nil || errors.Is(err, transport.ErrTopology) {
		t.Errorf("got %v", err)
	}
}

func TestCheck_UsesConsumerConnection(t *testing.T) {
	t.Parallel()
	q, missing := newQueue(time.Second), newQueue(time.Second)
	missing.Handler = "order-counted"
	url := brokerWith(t, q)
	p := newProxy(t, url, nil)
	tr := newTransport(t, p.url, rabbitmq.Config{})
	handled := make(chan string, 1)
	consume(t, tr, consumer(q, 1, func(d transport.Delivery) transport.Outcome {
		handled <- string(d.Body)
		return transport.Outcome{}
	}))
	for range 20 {
		if err := tr.Check(t.Context(), newTopology(q)); err != nil {
			t.Fatal(err)
		}
		if err := tr.Check(t.Context(), newTopology(missing)); !errors.Is(err, transport.ErrTopology) {
			t.Fatalf("got %v", err)
		}
	}

	// A check that gets no response leaves the connection to the consumers.
	p.stall(false, true)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tr.Check(short, newTopology(q)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	p.stall(false, false)
	publish(t, newTransport(t, url, rabbitmq.Config{}), newMessage("1"))
	receive(t, "delivery", handled)
	if n := p.accepted.Load(); n != 1 {
		t.Errorf("%d connections, want that of the consumers only", n)
	}
}

// An earlier release bound the dead-letter queue to the dead-letter exchange.
func TestDeclare_ReplacesObsoleteBinding(t *testing.T) {
	t.Parallel()
	q := newQueue(time.Second)
	url := brokerWith(t, q)
	ch := operator(t, url)
	dlx, dlq := rabbitmq.DeadLetterExchangeName(q), rabbitmq.DeadLetterQueueName(q)
	if err := ch.QueueBind(dlq, "", dlx, false, nil); err != nil {
		t.Fatal(err)
	}
	apply(t, url, q)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirm, err := ch.PublishWithDeferredConfirm(dlx, "", true, false, amqp.Publishing{MessageId: "1"})
	if err != nil || !confirm.Wait() {
		t.Fatal(err)
	}
	takeMessage(t, ch, rabbitmq.UndeliveredQueueName(q))
	if n := countReady(t, ch, dlq); n != 0 {
		t.Errorf("%d messages went to the dead letters directly", n)
	}
}

func TestBroker_DeadLettersRejectedDelivery(t *testing.T) {
	t.Parallel()
	q := newQueue(time.Second)
	url := brokerWith(t, q)
	publish(t, newTransport(t, url, rabbitmq.Config{}), newMessage("1"))
	ch := operator(t, url)
	eventually(t, "message", func() bool {
		d, ok, err := ch.Get(rabbitmq.QueueName(q), false)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return false
		}
		if err := d.Reject(false); err != nil {
			t.Fatal(err)
		}
		return true
	})
	if d := takeMessage(t, ch, rabbitmq.UndeliveredQueueName(q)); d.MessageId != "1" || d.RoutingKey != "order.created.v1" {
		t.Errorf("got message %s with key %s", d.MessageId, d.RoutingKey)
	}
}

func TestDeadLetterQueue_HasNoDeliveryLimit(t *testing.T) {
	t.Parallel()
	q := newQueue()
	url := brokerWith(t, q)
	ch := operator(t, url)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirm, err := ch.PublishWithDeferredConfirm(rabbitmq.RetryExchangeName("inventory"), rabbitmq.DeadLetterQueueName(q), true, false, amqp.Publishing{MessageId: "1"})
	if err != nil || !confirm.Wait() {
		t.Fatal(err)
	}
	const moreThanTheDefaultLimit = 30
	for range moreThanTheDefaultLimit {
		eventually(t, "dead letter", func() bool {
			d, ok, err := ch.Get(rabbitmq.DeadLetterQueueName(q), false)
			if err != nil {
				t.Fatal(err)
			}
			return ok && d.Reject(true) == nil
		})
	}
	takeMessage(t, ch, rabbitmq.DeadLetterQueueName(q))
}
