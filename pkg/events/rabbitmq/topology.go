package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// deliveryLimit ends a message that takes its consumer down with it, again and again, in the dead letters. Every
// lost connection and every restart counts too, for each delivery that was prefetched, so it is far above those.
const deliveryLimit = 200

// unlimited stands for "no delivery limit" where a dropped message would be lost: RabbitMQ 4 reads an absent limit
// as 20, and 3.x does not take the -1 that 4 has for it.
const unlimited = math.MaxInt32

type exchange struct{ name, kind string }

type queue struct {
	name string
	args amqp.Table
}

type binding struct{ queue, key, exchange string }

// layout is what a topology looks like on this broker.
type layout struct {
	exchanges []exchange
	queues    []queue
	bindings  []binding
}

func newLayout(t transport.Topology) layout {
	retry := RetryExchangeName(t.Service)
	l := layout{exchanges: []exchange{
		{ExchangeName(t.Service), amqp.ExchangeTopic},
		{retry, amqp.ExchangeDirect},
	}}
	for _, q := range t.Queues {
		main, dlx, dlq := QueueName(q), DeadLetterExchangeName(q), DeadLetterQueueName(q)

		publisher := exchange{ExchangeName(q.Publisher), amqp.ExchangeTopic}
		if !slices.Contains(l.exchanges, publisher) {
			l.exchanges = append(l.exchanges, publisher)
		}
		l.exchanges = append(l.exchanges, exchange{dlx, amqp.ExchangeFanout})
		l.queues = append(l.queues,
			queue{dlq, amqp.Table{
				amqp.QueueTypeArg:  amqp.QueueTypeQuorum,
				"x-overflow":       "reject-publish",
				"x-delivery-limit": int32(unlimited),
			}},
			queue{main, deadLettering(amqp.Table{
				"x-dead-letter-exchange": dlx,
				"x-delivery-limit":       int32(deliveryLimit),
			})},
		)
		l.bindings = append(
			l.bindings,
			binding{dlq, "", dlx},
			binding{dlq, dlq, retry},
			binding{main, bindingKey(q), publisher.name},
		)
		for _, delay := range slices.Compact(slices.Clone(q.RetryDelays)) {
			rung := RetryQueueName(q, delay)
			l.queues = append(l.queues, queue{rung, deadLettering(amqp.Table{
				"x-message-ttl":             milliseconds(delay),
				"x-dead-letter-exchange":    amqp.DefaultExchange,
				"x-dead-letter-routing-key": main,
			})})
			l.bindings = append(l.bindings, binding{rung, rung, retry})
		}
	}
	return l
}

// deadLettering completes the arguments of a queue whose dead-lettering must not lose anything: the broker keeps
// the message until the target has confirmed it, which it offers for quorum queues that reject when they are full.
func deadLettering(args amqp.Table) amqp.Table {
	args[amqp.QueueTypeArg] = amqp.QueueTypeQuorum
	args["x-dead-letter-strategy"] = "at-least-once"
	args["x-overflow"] = "reject-publish"
	return args
}

// milliseconds rounds up: not sooner than the ladder says.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// Apply declares everything the topologies need on the broker at url, which is as in New. It is idempotent and
// deletes nothing. What exists with other properties is reported by name, all of it, as far as the broker says
// what differs; the rest is declared nevertheless.
func Apply(ctx context.Context, url string, topologies ...transport.Topology) error {
	t, err := New(url, Config{Name: "topology"})
	if err != nil {
		return err
	}
	return t.Apply(ctx, topologies...)
}

// Apply is the function of the same name with the transport's own configuration.
func (t *Transport) Apply(ctx context.Context, topologies ...transport.Topology) error {
	a, err := t.administer(ctx)
	if err != nil {
		return err
	}
	defer a.close()

	for _, topology := range topologies {
		l := newLayout(topology)
		for _, e := range l.exchanges {
			a.do("exchange "+e.name, func(ch *amqp.Channel) error {
				return ch.ExchangeDeclare(e.name, e.kind, true, false, false, false, nil)
			})
		}
		for _, q := range l.queues {
			a.do("queue "+q.name, func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare(q.name, true, false, false, false, q.args)
				return err
			})
		}
		for _, b := range l.bindings {
			a.do(fmt.Sprintf("binding of %s to %s", b.queue, b.exchange), func(ch *amqp.Channel) error {
				return ch.QueueBind(b.queue, b.key, b.exchange, false, nil)
			})
		}
	}
	if err := errors.Join(append(briefly(a.rejected), a.err)...); err != nil {
		return fmt.Errorf("rabbitmq: apply topology: %w", err)
	}
	return nil
}

// briefly leaves one of the refusals of a user who may not declare: what one is told they are all told.
func briefly(refused []error) []error {
	var rest, denied []error
	for _, err := range refused {
		var e *amqp.Error
		if errors.As(err, &e) && e.Code == amqp.AccessRefused {
			denied = append(denied, err)
		} else {
			rest = append(rest, err)
		}
	}
	if len(denied) > 1 {
		denied = []error{fmt.Errorf("%w (and %d more that this user may not declare)", denied[0], len(denied)-1)}
	}
	return append(rest, denied...)
}

// Check implements transport.Transport. It sees exchanges and queues; AMQP has no way to ask for bindings.
func (t *Transport) Check(ctx context.Context, topology transport.Topology) error {
	a, err := t.administer(ctx)
	if err != nil {
		return err
	}
	defer a.close()

	l := newLayout(topology)
	for _, e := range l.exchanges {
		a.do("exchange "+e.name, func(ch *amqp.Channel) error {
			return ch.ExchangeDeclarePassive(e.name, e.kind, true, false, false, false, nil)
		})
	}
	for _, q := range l.queues {
		a.do("queue "+q.name, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(q.name, true, false, false, false, nil)
			return err
		})
	}
	if a.err != nil {
		return fmt.Errorf("rabbitmq: check topology: %w", a.err)
	}
	if len(a.rejected) > 0 {
		missing := make([]string, len(a.rejected))
		for i, err := range a.rejected {
			missing[i] = err.Error()
		}
		return fmt.Errorf("rabbitmq: %w (run `quadrille topology apply`): %s", transport.ErrTopology, strings.Join(missing, "; "))
	}
	return nil
}

// admin does one thing after the other on a connection of its own. The broker answers a refusal by closing the
// channel, so the next one starts on a new channel.
type admin struct {
	ctx        context.Context
	connection *connection
	ch         *amqp.Channel
	rejected   []error // what the broker refused
	err        error   // why nothing more can be done
}

func (t *Transport) administer(ctx context.Context) (*admin, error) {
	l, err := t.dialer.dial(ctx, "topology")
	if err != nil {
		return nil, err
	}
	return &admin{ctx: ctx, connection: l}, nil
}

func (a *admin) close() { a.connection.close() }

func (a *admin) do(what string, f func(ch *amqp.Channel) error) {
	if a.err != nil {
		return
	}
	if a.ch == nil || a.ch.IsClosed() {
		if a.ch, a.err = a.connection.channel(a.ctx); a.err != nil {
			return
		}
	}
	err := a.connection.call(a.ctx, writeGrace, func() error { return f(a.ch) })
	var e *amqp.Error
	switch {
	case err == nil:
	case errors.As(err, &e) && e.Server && !a.connection.conn.IsClosed():
		a.rejected = append(a.rejected, fmt.Errorf("%s: %w", what, err))
	default:
		a.err = fmt.Errorf("%s: %w", what, err)
	}
}
