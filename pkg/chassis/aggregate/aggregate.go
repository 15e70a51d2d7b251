// Package aggregate holds the steps that every service takes when something happens to one of its aggregates (an order,
// a reservation, a payment, a shipment): lock the aggregate's row, run a rule of the domain, store what the rule
// changed, and write the events that it returned to the outbox.
//
// All steps run in the transaction that the caller passes: either all of them take effect or none. Two transactions
// about one aggregate run one after the other, because the first step takes the row's lock. A rule that changes nothing
// and returns no event is a no-op: nothing is stored and nothing is published. That is the normal outcome of an event
// that arrives twice or late.
package aggregate

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Change is what a rule made of an aggregate. Before and After share slices and maps, so that a rule replaces them
// instead of changing their elements.
type Change[A any] struct {
	ID            string
	Before, After A
	ETOs          []events.ETO // to publish, in this order
	Noop          bool         // the rule changed nothing and returned no event
}

// Type holds what differs between the aggregates of the services. Its functions run inside the caller's transaction.
type Type[A any] struct {
	// Service is the value of the label "service" of the counter events.noop.
	Service string
	// Name is the aggregate's name in errors and log lines, such as "payment".
	Name string
	// IDKey is the attribute that holds the aggregate's id in log lines, such as "order_id".
	IDKey string
	// State returns the state for log lines and for the label "state" of events.noop.
	State func(A) string
	// LogAttrs returns attributes for the log line of a new state, beside the id. Default none.
	LogAttrs func(A) []any
	// Lock reads the aggregate and locks its row until tx ends.
	Lock func(ctx context.Context, tx *gorm.DB, id string) (A, error)
	// Store writes c.After. It may change c.After first, for example to give it a new version.
	Store func(ctx context.Context, tx *gorm.DB, c *Change[A]) error
	// StoreNoops has Store called for no-ops too. Default false.
	StoreNoops bool
	// PublishOptions returns the options with which c.ETOs[i] is published. Default none.
	PublishOptions func(c *Change[A], i int) []events.PublishOption
}

// Handle applies the rule of an event and counts a no-op in the counter events.noop.
func (t Type[A]) Handle(ctx context.Context, tx *gorm.DB, id string, rule func(*A) []events.ETO) error {
	c, err := t.Apply(ctx, tx, id, func(a *A) ([]events.ETO, error) { return rule(a), nil })
	if err == nil && c.Noop {
		t.recordNoop(ctx, c)
	}
	return err
}

// Apply locks the aggregate, runs the rule, stores what it changed and publishes the events that it returned, all in tx.
// The error is the rule's, unwrapped, or that of another step. After an error, tx must be rolled back.
func (t Type[A]) Apply(ctx context.Context, tx *gorm.DB, id string, rule func(*A) ([]events.ETO, error)) (*Change[A], error) {
	before, err := t.Lock(ctx, tx, id)
	if err != nil {
		return nil, fmt.Errorf("lock %s %s: %w", t.Name, id, err)
	}
	c := &Change[A]{ID: id, Before: before, After: before}
	if c.ETOs, err = rule(&c.After); err != nil {
		return nil, err
	}
	c.Noop = len(c.ETOs) == 0 && reflect.DeepEqual(c.Before, c.After)
	if c.Noop && !t.StoreNoops {
		return c, nil
	}
	return c, t.Commit(ctx, tx, c)
}

// Commit stores and publishes a change. It is the second half of Apply, for an aggregate that does not exist yet.
func (t Type[A]) Commit(ctx context.Context, tx *gorm.DB, c *Change[A]) error {
	if err := t.Store(ctx, tx, c); err != nil {
		return fmt.Errorf("store %s %s: %w", t.Name, c.ID, err)
	}
	for i, eto := range c.ETOs {
		var opts []events.PublishOption
		if t.PublishOptions != nil {
			opts = t.PublishOptions(c, i)
		}
		if err := events.Publish(ctx, tx, eto, opts...); err != nil {
			return fmt.Errorf("%s %s: %w", t.Name, c.ID, err)
		}
	}
	if before, after := t.State(c.Before), t.State(c.After); before != after {
		attrs := []any{t.IDKey, c.ID, "was", before}
		if t.LogAttrs != nil {
			attrs = append(attrs, t.LogAttrs(c.After)...)
		}
		slog.InfoContext(ctx, t.Name+" "+after, attrs...)
	}
	return nil
}

var noops, _ = otel.Meter("github.com/quadrille-dev/quadrille/pkg/chassis/aggregate").Int64Counter("events.noop",
	metric.WithDescription("Events that changed nothing, because they arrived twice or late, by service and state."))

func (t Type[A]) recordNoop(ctx context.Context, c *Change[A]) {
	state := t.State(c.Before)
	noops.Add(ctx, 1, metric.WithAttributes(attribute.String("service", t.Service), attribute.String("state", state)))
	slog.DebugContext(ctx, "event changed nothing", t.IDKey, c.ID, "state", state)
}
