package rabbitmq

import (
	"errors"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/pkg/testservers"
)

func TestApply_MayBeRepeated(t *testing.T) {
	t.Parallel()
	q := orderCreated(time.Second, time.Second, 2*time.Minute)
	url := broker(t, q)
	apply(t, url, q)
	if err := newTransport(t, url, Config{}).Check(t.Context(), topologyOf(q)); err != nil {
		t.Error(err)
	}
}

func TestApply_NamesEveryMismatchAndDeclaresTheRest(t *testing.T) {
	t.Parallel()
	url := testservers.AMQP(t)
	q := orderCreated(time.Second, time.Minute)
	ch := operator(t, url)
	for _, name := range []string{QueueName(q), RetryQueueName(q, time.Second)} {
		if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.ExchangeDeclare("inventory.retry", amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}

	err := Apply(t.Context(), url, topologyOf(q))
	if err == nil {
		t.Fatal("applied over other properties")
	}
	for _, want := range []string{QueueName(q), RetryQueueName(q, time.Second), "exchange inventory.retry", "inequivalent arg 'x-"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
	if err := newTransport(t, url, Config{}).Check(t.Context(), topologyOf(q)); err != nil {
		t.Errorf("the rest is missing: %v", err)
	}
}

func TestApply_SaysOnceThatItsUserMayNot(t *testing.T) {
	t.Parallel()
	url := broker(t)
	err := Apply(t.Context(), testservers.User(t, url, "", "", ""), topologyOf(orderCreated(time.Second)))
	if err == nil || strings.Count(err.Error(), "ACCESS_REFUSED") != 1 || !strings.Contains(err.Error(), "more that this user may not declare") {
		t.Errorf("got %v", err)
	}
}

func TestCheck_NamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	first, second := orderCreated(time.Second), orderCreated(time.Second)
	second.Handler = "order-counted"
	url := broker(t, first)
	ch := operator(t, url)
	if _, err := ch.QueueDelete(RetryQueueName(first, time.Second), false, false, false); err != nil {
		t.Fatal(err)
	}

	tr := newTransport(t, url, Config{})
	err := tr.Check(t.Context(), topologyOf(first, second))
	if !errors.Is(err, transport.ErrTopology) {
		t.Fatalf("got %v", err)
	}
	for name, missing := range map[string]bool{
		RetryQueueName(first, time.Second):  true,
		QueueName(second):                   true,
		DeadLetterQueueName(second):         true,
		RetryQueueName(second, time.Second): true,
		DeadLetterExchangeName(second):      true,
		QueueName(first):                    false,
		DeadLetterQueueName(first):          false,
		"inventory.retry":                   false,
	} {
		if strings.Contains(err.Error(), " "+name+":") != missing {
			t.Errorf("%s: missing is %v, but %v", name, missing, err)
		}
	}
}

func TestCheck_BrokerAwayIsNotTheTopology(t *testing.T) {
	t.Parallel()
	err := newTransport(t, nobody(t), Config{}).Check(t.Context(), topologyOf())
	if err == nil || errors.Is(err, transport.ErrTopology) {
		t.Errorf("got %v", err)
	}
}

func TestBroker_DeadLettersWhatItIsTold(t *testing.T) {
	t.Parallel()
	q := orderCreated(time.Second)
	url := broker(t, q)
	publish(t, newTransport(t, url, Config{}), testMessage("1"))
	ch := operator(t, url)
	eventually(t, "message", func() bool {
		d, ok, err := ch.Get(QueueName(q), false)
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
	if d := take(t, ch, DeadLetterQueueName(q)); d.MessageId != "1" || d.RoutingKey != "order.created.v1" {
		t.Errorf("got message %s with key %s", d.MessageId, d.RoutingKey)
	}
}

func TestDeadLetterQueue_KeepsWhatIsLookedAtOften(t *testing.T) {
	t.Parallel()
	q := orderCreated()
	url := broker(t, q)
	ch := operator(t, url)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirm, err := ch.PublishWithDeferredConfirm(RetryExchangeName("inventory"), DeadLetterQueueName(q), true, false, amqp.Publishing{MessageId: "1"})
	if err != nil || !confirm.Wait() {
		t.Fatal(err)
	}
	const oftenThanTheDefaultLimit = 30
	for range oftenThanTheDefaultLimit {
		eventually(t, "dead letter", func() bool {
			d, ok, err := ch.Get(DeadLetterQueueName(q), false)
			if err != nil {
				t.Fatal(err)
			}
			return ok && d.Reject(true) == nil
		})
	}
	take(t, ch, DeadLetterQueueName(q))
}

func TestNew_ReportsEveryMistakeAndNoPassword(t *testing.T) {
	t.Parallel()
	_, err := New("amqp://u:secret@host:port/,http://h", Config{Heartbeat: time.Millisecond, WriteTimeout: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"address 1", "address 2", "Heartbeat", "WriteTimeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%q tells the password", err)
	}
}
