package rabbitmq

import (
	"errors"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/pkg/testservers"
)

// What suffices is shown by TestConformance, where everybody has these permissions and no others. This is what they
// do not suffice for.
func TestPermissions_RefuseTheRest(t *testing.T) {
	t.Parallel()
	q, theirs := orderCreated(time.Second), orderCreated(time.Second)
	theirs.Service = "inventory-archive" // its names begin like ours
	all := []transport.Topology{topologyOf(q), {Service: theirs.Service, Queues: []transport.Queue{theirs}}}
	vhost := testservers.AMQP(t)
	if err := Apply(t.Context(), vhost, all...); err != nil {
		t.Fatal(err)
	}
	nobody := Permissions{}
	service, admin, person := ServicePermissions("inventory"), TopologyPermissions(all...), OperatorPermissions(all...)

	for _, c := range []struct {
		what      string
		permitted bool
		may       Permissions
		do        func(ch *amqp.Channel) error
	}{
		{"a service declares a queue", false, service, declare("inventory.order-counted.q")},
		{"a service declares what exists", false, service, declare(QueueName(q))},
		{"a service declares an exchange", false, service, func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare("inventory.more", amqp.ExchangeTopic, true, false, false, false, nil)
		}},
		{"a service deletes its queue", false, service, func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(QueueName(q), false, false, false)
			return err
		}},
		{"a service binds its queue", false, service, bind(QueueName(q), "order.events")},
		{"a service unbinds its queue", false, service, func(ch *amqp.Channel) error {
			return ch.QueueUnbind(QueueName(q), "#", "order.events", nil)
		}},
		{"a service publishes its events", true, service, send("inventory.events")},
		{"a service publishes another's events", false, service, send("order.events")},
		{"a service publishes to a longer name", false, service, send("inventory-archive.retry")},
		{"a service retries", true, service, send("inventory.retry")},
		{"a service writes to queues", false, service, send("")},
		{"a service writes to its own dead letters by the broker's way", false, service, send(DeadLetterExchangeName(q))},
		{"a service reads its queue", true, service, read(QueueName(q))},
		{"a service reads another's queue", false, service, read(QueueName(theirs))},
		{"a service reads its rung", false, service, read(RetryQueueName(q, time.Second))},
		{"a service reads its dead letters", false, service, read(DeadLetterQueueName(q))},

		{"the topology's user publishes events", false, admin, send("order.events")},
		{"the topology's user sends retries", false, admin, send("inventory.retry")},
		{"the topology's user reads dead letters", false, admin, read(DeadLetterQueueName(q))},
		{"the topology's user reads queues, as it must to declare them", true, admin, read(QueueName(q))},
		{"the topology's user declares what is nobody's", false, admin, declare("tap.q")},

		{"an operator reads dead letters", true, person, read(DeadLetterQueueName(q))},
		{"an operator reads a queue", false, person, read(QueueName(q))},
		{"an operator publishes events", false, person, send("order.events")},
		{"an operator declares", false, person, declare("inventory.order-counted.dlq")},

		{"somebody without rights reads", false, nobody, read(QueueName(q))},
		{"somebody without rights publishes", false, nobody, send("order.events")},
		{"somebody without rights writes to queues", false, nobody, send("")},
	} {
		ch := operator(t, testservers.User(t, vhost, c.may.Configure, c.may.Write, c.may.Read))
		err := c.do(ch)
		refusal, refused := errors.AsType[*amqp.Error](err)
		if c.permitted && err != nil || !c.permitted && (!refused || refusal.Code != amqp.AccessRefused) {
			t.Errorf("%s, permitted %v: %v", c.what, c.permitted, err)
		}
	}
}

func TestPermissions_NobodyNeedsAnyToAsk(t *testing.T) {
	t.Parallel()
	q := orderCreated(time.Second)
	url := broker(t, q)
	tr := newTransport(t, testservers.User(t, url, "", "", ""), Config{})
	if err := tr.Check(t.Context(), topologyOf(q)); err != nil {
		t.Error(err)
	}
	if depths, err := tr.Depths(t.Context(), topologyOf(q)); err != nil || len(depths) != 3 {
		t.Errorf("%v, %v", depths, err)
	}
}

func declare(queue string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(queue, true, false, false, false, nil)
		return err
	}
}

func bind(queue, exchange string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error { return ch.QueueBind(queue, "#", exchange, false, nil) }
}

func read(queue string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		_, _, err := ch.Get(queue, false)
		return err
	}
}

// send answers what the broker says to a message: nothing but a confirm, or why it closes the channel.
func send(exchange string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		if err := ch.Confirm(false); err != nil {
			return err
		}
		confirm, err := ch.PublishWithDeferredConfirm(exchange, "nobody.wants.this", false, false, amqp.Publishing{})
		if err != nil {
			return err
		}
		if confirm.Wait() {
			return nil
		}
		return <-closed
	}
}
