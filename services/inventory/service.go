package inventory

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/aggregate"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Service applies the rules of inventory.go to stored reservations and products. It is safe for concurrent use, also by
// several processes on one database.
type Service struct {
	db *gorm.DB
}

// New returns a service on db, which needs the tables of this service and of package events.
func New(db *gorm.DB) *Service { return &Service{db: db} }

// allocation is a reservation together with the products that it is about. A rule changes the products in place, and
// only together with the reservation, by whose change a no-op is detected.
type allocation struct {
	Reservation Reservation
	Stock       Stock
}

// allocations locks, stores and publishes reservations and their products. requested are the items of a new order; the
// products of a known order are those of its reservation.
func allocations(requested ...Item) aggregate.Type[allocation] {
	return aggregate.Type[allocation]{
		Service: "inventory", Name: "reservation", IDKey: "order_id",
		State: func(a allocation) string { return string(a.Reservation.State) },
		Lock: func(_ context.Context, tx *gorm.DB, orderID string) (allocation, error) {
			return lockAllocation(tx, orderID, requested)
		},
		Store: func(_ context.Context, tx *gorm.DB, c *aggregate.Change[allocation]) error {
			return storeAllocation(tx, c.After)
		},
	}
}

// products locks, stores and publishes products of the catalogue.
func products() aggregate.Type[Product] {
	return aggregate.Type[Product]{
		Service: "inventory", Name: "product", IDKey: "sku",
		State: func(p Product) string {
			if p.Deleted {
				return "deleted"
			}
			return "in catalogue"
		},
		Lock: func(_ context.Context, tx *gorm.DB, sku string) (Product, error) { return lockProduct(tx, sku) },
		Store: func(_ context.Context, tx *gorm.DB, c *aggregate.Change[Product]) error {
			return storeProduct(tx, c.After)
		},
		PublishOptions: func(c *aggregate.Change[Product], _ int) []events.PublishOption {
			return []events.PublishOption{events.WithSequence(c.After.Version)}
		},
	}
}

// on returns the handler that applies a rule to the reservation of the event's order.
func on[T events.ETO](rule func(*Reservation, T, Stock) []contracts.ETO) func(context.Context, *gorm.DB, events.Received[T]) error {
	return func(ctx context.Context, tx *gorm.DB, e events.Received[T]) error {
		return allocations().Handle(ctx, tx, e.Event.Subject(), func(a *allocation) []contracts.ETO {
			return rule(&a.Reservation, e.Event, a.Stock)
		})
	}
}

// changeProduct applies the rule of a command to a product, in tx. After an error, tx must be rolled back.
func (s *Service) changeProduct(ctx context.Context, tx *gorm.DB, sku string, rule func(*Product) ([]contracts.ETO, error)) (Product, error) {
	c, err := products().Apply(ctx, tx, sku, rule)
	if err != nil {
		return Product{}, err
	}
	return c.After, nil
}
