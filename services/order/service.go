package order

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/aggregate"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Service applies the rules of order.go to stored orders. It is safe for concurrent use, also by several processes on one
// database.
type Service struct {
	db        *gorm.DB
	timeouts  Timeouts
	catalogue catalogueCheck
}

// New returns a service on db, which is ready once it has received the products with the SKUs of awaited. Before it
// publishes, db needs the plugin of package events, see events.New.
func New(db *gorm.DB, timeouts Timeouts, awaited ...string) *Service {
	return &Service{db: db, timeouts: timeouts, catalogue: catalogueCheck{awaited: awaited}}
}

// now returns the time in the precision of the database.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// orders locks, stores and publishes orders with their history. received is the history's entry for the event that the
// rule handles: it is stored even if the event changes nothing. It is nil for commands.
func (s *Service) orders(received *HistoryEntry) aggregate.Type[Order] {
	return aggregate.Type[Order]{
		Service: "order", Name: "order", IDKey: "order_id",
		State:    func(o Order) string { return string(o.State()) },
		LogAttrs: func(o Order) []any { return []any{"reason", string(o.Why())} },
		Lock: func(_ context.Context, tx *gorm.DB, id string) (Order, error) {
			return lockOrder(tx, id)
		},
		StoreNoops: received != nil,
		Store: func(ctx context.Context, tx *gorm.DB, c *aggregate.Change[Order]) error {
			if progressed(&c.Before, &c.After, c.ETOs) {
				c.After.WaitingSince, c.After.Stalled = now(), false
			}
			if err := storeChange(ctx, tx, c, newHistory(c, received)); err != nil {
				return err
			}
			if state := c.After.State(); state.Ended() && state != c.Before.State() {
				countEnd(ctx, &c.After, now())
			}
			return nil
		},
		PublishOptions: func(c *aggregate.Change[Order], i int) []events.PublishOption {
			version := c.After.Version - int64(len(c.ETOs)-1-i)
			opts := []events.PublishOption{events.WithSequence(version)}
			if _, ok := c.ETOs[i].(contracts.OrderPaymentDeadlinePassed); ok {
				opts = append(opts, events.WithDelay(s.timeouts.Payment))
			}
			return opts
		},
	}
}

// on returns the handler that applies a rule to the event's order.
func on[T events.ETO](s *Service, rule func(*Order, T) []contracts.ETO) func(context.Context, *gorm.DB, events.Received[T]) error {
	return func(ctx context.Context, tx *gorm.DB, e events.Received[T]) error {
		countRejection(ctx, e.Type)
		err := s.orders(newHistoryEntry(e)).Handle(ctx, tx, e.Event.Subject(), func(o *Order) []contracts.ETO { return rule(o, e.Event) })
		return permanentIfUnknown(err)
	}
}

// record returns the handler of an event that only the history needs.
func record[T events.ETO](s *Service) func(context.Context, *gorm.DB, events.Received[T]) error {
	return func(ctx context.Context, tx *gorm.DB, e events.Received[T]) error {
		_, err := s.orders(newHistoryEntry(e)).Apply(ctx, tx, e.Event.Subject(), func(*Order) ([]contracts.ETO, error) { return nil, nil })
		return permanentIfUnknown(err)
	}
}

// storing returns the handler that stores the copy of the event's product, unless a newer version is stored.
func storing[T events.ETO](from func(T) Product) func(context.Context, *gorm.DB, events.Received[T]) error {
	return func(_ context.Context, tx *gorm.DB, e events.Received[T]) error {
		return storeProduct(tx, from(e.Event))
	}
}

func newHistoryEntry[T events.ETO](e events.Received[T]) *HistoryEntry {
	description := describe(e.Event)
	if description == "" {
		return nil
	}
	return &HistoryEntry{At: e.Time, EventType: e.Type, Description: description}
}

// permanentIfUnknown makes an event about an unknown order a dead letter. An order is stored in the transaction that
// publishes its first event, so that an event about an unknown order is a fault, which creating the order would hide.
func permanentIfUnknown(err error) error {
	if errors.Is(err, errUnknownOrder) {
		return events.Permanent(err)
	}
	return err
}
