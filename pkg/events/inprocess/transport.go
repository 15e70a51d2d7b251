package inprocess

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/logthrottle"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Transport implements transport.Transport for one service. Make one with Broker.Transport.
type Transport struct {
	broker *Broker
	store  store
	closed atomic.Bool
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Declarer  = (*Transport)(nil)
)

var errClosed = errors.New("inprocess: the transport is closed")

// Transport returns the transport of one service. The service's stored inbox is in db. Pass the handle that the bus is
// made with: on SQLite, the transactions of one handle wait for each other.
func (b *Broker) Transport(db *gorm.DB) *Transport { return &Transport{broker: b, store: store{db}} }

// Declare implements transport.Declarer. It creates the tables of the stored inbox, if they are missing, and binds the
// queues of the service's topology to their publishers: at once, or when those declare their topologies. It unbinds
// nothing. All topologies must be of the service that db belongs to. Declare blocks for as long as the databases take; on
// an error it may be called again.
func (t *Transport) Declare(ctx context.Context, topologies ...transport.Topology) error {
	for _, topology := range topologies {
		if t.closed.Load() {
			return errClosed
		}
		if topology.Service != topologies[0].Service {
			return fmt.Errorf("inprocess: one transport for two services, %s and %s", topologies[0].Service, topology.Service)
		}
		if err := t.broker.declare(ctx, t.store, topology); err != nil {
			return fmt.Errorf("inprocess: declare topology of %s: %w", topology.Service, err)
		}
	}
	return nil
}

// Publish implements transport.Transport. It stores each message for every subscription, in the given order, and blocks
// until that is done. If the publisher has not declared its topology, the outcome is ErrUnroutable, mandatory or not. It
// is ErrRejected if a subscriber's database rejects the message because it breaks a constraint or a limit. If a database
// is unavailable, or a service with a stored binding has not declared its topology, the outcome is unknown.
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

// Check implements transport.Transport. It compares the topology with what was declared and reads no database.
func (t *Transport) Check(_ context.Context, topology transport.Topology) error {
	if t.closed.Load() {
		return errClosed
	}
	return t.broker.check(topology)
}

// Close implements transport.Transport. From then on Publish, Declare and Check fail. Consume ends with its context.
func (t *Transport) Close() error {
	t.closed.Store(true)
	return nil
}

// Consume implements transport.Transport. It returns an error only if a consumer is incomplete.
func (t *Transport) Consume(ctx context.Context, consumers []transport.Consumer) error {
	for _, c := range consumers {
		if c.Workers < 1 || c.Handle == nil || c.Ready == nil {
			return fmt.Errorf("inprocess: consumer %s needs Workers, Ready and Handle", c.Queue)
		}
	}
	var supervisors sync.WaitGroup
	for _, c := range consumers {
		s := &supervisor{
			Consumer: c, attach: t.broker.attach, log: t.broker.cfg.Logger.With("queue", c.String()),
			throttle: logthrottle.Throttle{Interval: logInterval},
		}
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

// Source implements transport.Names: publisher, event type and handler.
func (t *Transport) Source(q transport.Queue) string {
	return t.Destination(q.Publisher, q.Type) + ":" + q.String()
}
