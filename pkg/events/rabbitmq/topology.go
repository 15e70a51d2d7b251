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

// deliveryLimit is the number of redeliveries after which the broker dead-letters a message that crashes its consumer
// again and again. Lost connections and restarts count too, for each prefetched delivery, so it is far above those.
const deliveryLimit = 200

// unlimited is the delivery limit of dead-letter queues, where a dropped message would be lost. The default of RabbitMQ 4
// is 20, and 3.x does not accept -1, which means unlimited in 4.
const unlimited = math.MaxInt32

type exchange struct{ name, kind string }

type queue struct {
	name string
	args amqp.Table
}

type binding struct{ queue, key, exchange string }

// layout is a topology in terms of RabbitMQ.
type layout struct {
	exchanges []exchange
	queues    []queue
	bindings  []binding
	obsolete  []binding // of an earlier release
}

func newLayout(t transport.Topology) layout {
	retry := RetryExchangeName(t.Service)
	l := layout{exchanges: []exchange{
		{ExchangeName(t.Service), amqp.ExchangeTopic},
		{retry, amqp.ExchangeDirect},
	}}
	for _, q := range t.Queues {
		main, dlx, undelivered, dlq := QueueName(q), DeadLetterExchangeName(q), UndeliveredQueueName(q), DeadLetterQueueName(q)

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
			// What even the undelivered queue cannot deliver becomes a dead letter without a count.
			queue{undelivered, deadLettering(amqp.Table{
				"x-dead-letter-exchange":    amqp.DefaultExchange,
				"x-dead-letter-routing-key": dlq,
				"x-delivery-limit":          int32(deliveryLimit),
			})},
		)
		l.bindings = append(
			l.bindings,
			binding{undelivered, "", dlx},
			binding{dlq, dlq, retry},
			binding{main, bindingKey(q), publisher.name},
		)
		l.obsolete = append(l.obsolete, binding{dlq, "", dlx})
		for _, delay := range slices.Compact(slices.Clone(q.RetryDelays)) {
			name := RetryQueueName(q, delay)
			l.queues = append(l.queues, queue{name, deadLettering(amqp.Table{
				"x-message-ttl":             milliseconds(delay),
				"x-dead-letter-exchange":    amqp.DefaultExchange,
				"x-dead-letter-routing-key": main,
			})})
			l.bindings = append(l.bindings, binding{name, name, retry})
		}
	}
	return l
}

// deadLettering adds the arguments of a queue that dead-letters at least once: the broker keeps a message until the target
// has confirmed it. It requires a quorum queue that rejects messages when it is full.
func deadLettering(args amqp.Table) amqp.Table {
	args[amqp.QueueTypeArg] = amqp.QueueTypeQuorum
	args["x-dead-letter-strategy"] = "at-least-once"
	args["x-overflow"] = "reject-publish"
	return args
}

// milliseconds rounds up, so that a retry is not early.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// Declare declares exchanges, queues and bindings of the topologies on the broker at address, which has the form that New
// accepts. It is idempotent and deletes nothing but bindings that an earlier release declared and this one replaces. It
// reports by name everything that exists with other properties and declares the rest nevertheless.
func Declare(ctx context.Context, address string, topologies ...transport.Topology) error {
	t, err := New(address, Config{Name: "topology"})
	if err != nil {
		return err
	}
	return t.Declare(ctx, topologies...)
}

// Declare implements transport.Declarer. It is the function Declare with the transport's own configuration.
func (t *Transport) Declare(ctx context.Context, topologies ...transport.Topology) error {
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
		for _, b := range l.obsolete {
			a.do(fmt.Sprintf("obsolete binding of %s to %s", b.queue, b.exchange), func(ch *amqp.Channel) error {
				return ch.QueueUnbind(b.queue, b.key, b.exchange, nil)
			})
		}
	}
	if err := errors.Join(append(briefly(a.rejected), a.err)...); err != nil {
		return fmt.Errorf("rabbitmq: declare topology: %w", err)
	}
	return nil
}

// briefly keeps one of several access errors, which are alike.
func briefly(rejected []error) []error {
	var rest, denied []error
	for _, err := range rejected {
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

// Check implements transport.Transport. It checks exchanges and queues; AMQP cannot query bindings. It uses a channel of the
// consumers' connection, and opens that connection only if there is none.
func (t *Transport) Check(ctx context.Context, topology transport.Topology) error {
	conn, err := t.consumers.open(ctx)
	if err != nil {
		return err
	}
	a := &admin{ctx: ctx, connection: conn}
	defer a.closeChannel()

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
		return fmt.Errorf("rabbitmq: %w (set Config.DeclareTopology or declare events.NewTopology with rabbitmq.Declare): %s", transport.ErrTopology, strings.Join(missing, "; "))
	}
	return nil
}

// admin runs requests one after another. The broker closes the channel when it rejects a request, so the next request opens
// a new one.
type admin struct {
	ctx        context.Context
	connection *connection
	ch         *amqp.Channel
	rejected   []error // requests that the broker rejected
	err        error   // why no more requests can be made
}

// administer returns an admin with a connection of its own.
func (t *Transport) administer(ctx context.Context) (*admin, error) {
	conn, err := t.dial(ctx, "topology")
	if err != nil {
		return nil, err
	}
	return &admin{ctx: ctx, connection: conn}, nil
}

func (a *admin) close() { a.connection.close() }

// closeChannel leaves the connection open.
func (a *admin) closeChannel() {
	if a.ch != nil && a.err == nil {
		_ = a.connection.ask(a.ctx, a.ch.Close) // an error means that the channel is closed already
	}
}

func (a *admin) do(what string, f func(ch *amqp.Channel) error) {
	if a.err != nil {
		return
	}
	if a.ch == nil || a.ch.IsClosed() {
		var ch *amqp.Channel
		if err := a.connection.ask(a.ctx, func() (err error) { ch, err = a.connection.conn.Channel(); return err }); err != nil {
			a.err = fmt.Errorf("open channel: %w", err)
			return
		}
		a.ch = ch
	}
	err := a.connection.ask(a.ctx, func() error { return f(a.ch) })
	var e *amqp.Error
	switch {
	case err == nil:
	case errors.As(err, &e) && e.Server && !a.connection.conn.IsClosed():
		a.rejected = append(a.rejected, fmt.Errorf("%s: %w", what, err))
	default:
		a.err = fmt.Errorf("%s: %w", what, err)
	}
}
