package rabbitmq_test

import (
	"errors"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// TestConformance shows that the permissions suffice: its services have these and no more. This test shows what they do
// not permit.
func TestPermissions_DenyOtherResources(t *testing.T) {
	t.Parallel()
	q, theirs := newQueue(time.Second), newQueue(time.Second)
	theirs.Service = "inventory-archive" // its names begin with those of the first
	all := []transport.Topology{newTopology(q), {Service: theirs.Service, Queues: []transport.Queue{theirs}}}
	vhost := testservers.AMQP(t)
	if err := rabbitmq.Declare(t.Context(), vhost, all...); err != nil {
		t.Fatal(err)
	}
	none, service, admin, person := rabbitmq.Permissions{}, rabbitmq.ServicePermissions("inventory"), rabbitmq.TopologyPermissions(all...), rabbitmq.OperatorPermissions(all...)

	for _, c := range []struct {
		what      string
		permitted bool
		may       rabbitmq.Permissions
		do        func(ch *amqp.Channel) error
	}{
		{"a service declares a queue", false, service, declare("inventory.order-counted.q")},
		{"a service declares what exists", false, service, declare(rabbitmq.QueueName(q))},
		{"a service declares an exchange", false, service, func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare("inventory.more", amqp.ExchangeTopic, true, false, false, false, nil)
		}},
		{"a service deletes its queue", false, service, func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(rabbitmq.QueueName(q), false, false, false)
			return err
		}},
		{"a service binds its queue", false, service, bind(rabbitmq.QueueName(q), "order.events")},
		{"a service unbinds its queue", false, service, func(ch *amqp.Channel) error {
			return ch.QueueUnbind(rabbitmq.QueueName(q), "#", "order.events", nil)
		}},
		{"a service publishes its events", true, service, send("inventory.events")},
		{"a service publishes another's events", false, service, send("order.events")},
		{"a service publishes to a longer name", false, service, send("inventory-archive.retry")},
		{"a service retries", true, service, send("inventory.retry")},
		{"a service writes to queues", false, service, send("")},
		{"a service publishes to its dead-letter exchange", false, service, send(rabbitmq.DeadLetterExchangeName(q))},
		{"a service reads its queue", true, service, read(rabbitmq.QueueName(q))},
		{"a service reads another's queue", false, service, read(rabbitmq.QueueName(theirs))},
		{"a service reads its retry queue", false, service, read(rabbitmq.RetryQueueName(q, time.Second))},
		{"a service reads its dead letters", false, service, read(rabbitmq.DeadLetterQueueName(q))},

		{"the topology's user publishes events", false, admin, send("order.events")},
		{"the topology's user sends retries", false, admin, send("inventory.retry")},
		{"the topology's user reads dead letters", false, admin, read(rabbitmq.DeadLetterQueueName(q))},
		{"the topology's user reads queues, as it must to declare them", true, admin, read(rabbitmq.QueueName(q))},
		{"the topology's user declares a queue of no service", false, admin, declare("tap.q")},

		{"an operator reads dead letters", true, person, read(rabbitmq.DeadLetterQueueName(q))},
		{"an operator reads a queue", false, person, read(rabbitmq.QueueName(q))},
		{"an operator publishes events", false, person, send("order.events")},
		{"an operator declares", false, person, declare("inventory.order-counted.dlq")},

		{"a user without permissions reads", false, none, read(rabbitmq.QueueName(q))},
		{"a user without permissions publishes", false, none, send("order.events")},
		{"a user without permissions writes to queues", false, none, send("")},
	} {
		ch := operator(t, testservers.User(t, vhost, c.may.Configure, c.may.Write, c.may.Read))
		err := c.do(ch)
		denial, denied := errors.AsType[*amqp.Error](err)
		if c.permitted && err != nil || !c.permitted && (!denied || denial.Code != amqp.AccessRefused) {
			t.Errorf("%s, permitted %v: %v", c.what, c.permitted, err)
		}
	}
}

func TestPermissions_NoneNeededToCheck(t *testing.T) {
	t.Parallel()
	q := newQueue(time.Second)
	url := brokerWith(t, q)
	tr := newTransport(t, testservers.User(t, url, "", "", ""), rabbitmq.Config{})
	if err := tr.Check(t.Context(), newTopology(q)); err != nil {
		t.Error(err)
	}
	if depths, err := tr.Depths(t.Context(), newTopology(q)); err != nil || len(depths) != 4 {
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

// send publishes a message and returns nil if the broker confirms it, or the error with which it closes the channel.
func send(exchange string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		if err := ch.Confirm(false); err != nil {
			return err
		}
		confirm, err := ch.PublishWithDeferredConfirm(exchange, "no.such.queue", false, false, amqp.Publishing{})
		if err != nil {
			return err
		}
		if confirm.Wait() {
			return nil
		}
		return <-closed
	}
}
