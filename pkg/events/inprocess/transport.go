package inprocess

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Transport is transport.Transport on a hub. Make one for each service with Hub.Transport.
type Transport struct {
	broker exchange
	log    *slog.Logger
	closed atomic.Bool
}

var _ transport.Transport = (*Transport)(nil)

// office is what a hub does for transports. Tests put a bad line in between.
type exchange interface {
	publish(ctx context.Context, msgs []transport.Message) []error
	check(topology transport.Topology) error
	attach(q transport.Queue) (consumer, error)
}

var _ exchange = (*Broker)(nil)

// desk is where one consumer gets its deliveries.
type consumer interface {
	// take blocks until there is something to handle, limit events at most. What it hands out is the consumer's until
	// it is settled or the consumer leaves.
	take(ctx context.Context, limit int) ([]storedEvent, error)
	// settle carries out a verdict; errGone if the event is not the consumer's any more.
	settle(ctx context.Context, e storedEvent, v transport.Outcome) error
	// leave gives everything back that is not settled. It may be called again.
	leave()
}

var _ consumer = (*attached)(nil)

var errClosed = errors.New("inprocess: the transport is closed")

// Publish implements transport.Transport. It stores each message for every subscription, in the given order, and answers
// once that is done. A publisher that has not joined is ErrUnroutable, mandatory or not. What a subscriber's database
// will not have in any case, because it breaks a constraint or a limit, is ErrRefused. If a database is away, or a
// service that was bound before has not joined, the outcome is unknown.
func (t *Transport) Publish(ctx context.Context, msgs []transport.Message) []error {
	if t.closed.Load() {
		outcomes := make([]error, len(msgs))
		for i := range outcomes {
			outcomes[i] = errClosed
		}
		return outcomes
	}
	return t.broker.publish(ctx, msgs)
}

// Check implements transport.Transport. It compares the topology with those that have joined; no database is asked.
func (t *Transport) Check(_ context.Context, topology transport.Topology) error {
	if t.closed.Load() {
		return errClosed
	}
	return t.broker.check(topology)
}

// Close implements transport.Transport. Publish fails from then on; Consume is ended by its context.
func (t *Transport) Close() error {
	t.closed.Store(true)
	return nil
}

// Consume implements transport.Transport. It answers an error only for consumers that make no sense.
func (t *Transport) Consume(ctx context.Context, consumers []transport.Consumer) error {
	for _, c := range consumers {
		if c.Workers < 1 || c.Handle == nil || c.Ready == nil {
			return fmt.Errorf("inprocess: consumer %s needs Workers, Ready and Handle", c.Queue)
		}
	}
	var supervisors sync.WaitGroup
	for _, c := range consumers {
		s := &supervisor{Consumer: c, broker: t.broker, log: t.log.With("queue", c.String())}
		supervisors.Go(func() { s.run(ctx) })
	}
	supervisors.Wait()
	return nil
}

// System implements transport.Names.
func (t *Transport) System() string { return "inprocess" }

// Destination implements transport.Names: publisher and event type.
func (t *Transport) Destination(publisher, eventType string) string {
	return publisher + ":" + eventType
}

// Source implements transport.Names: publisher, event type and reaction.
func (t *Transport) Source(q transport.Queue) string {
	return t.Destination(q.Publisher, q.Type) + ":" + q.String()
}
