package shipping

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/aggregate"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Service applies the rules of shipping.go to stored shipments. It is safe for concurrent use, also by several processes
// on one database.
type Service struct {
	db      *gorm.DB
	carrier *Carrier
	secret  string // shared with the carrier, signs its webhooks
	now     func() time.Time
}

// New returns a service on db that books with carrier and accepts webhooks signed with secret.
func New(db *gorm.DB, carrier *Carrier, secret string) *Service {
	return &Service{db: db, carrier: carrier, secret: secret, now: func() time.Time { return time.Now().UTC() }}
}

// shipments locks, stores and publishes shipments.
func (s *Service) shipments() aggregate.Type[Shipment] {
	return aggregate.Type[Shipment]{
		Service: "shipping", Name: "shipment", IDKey: "order_id",
		State: func(sh Shipment) string { return string(sh.State) },
		Lock: func(ctx context.Context, tx *gorm.DB, orderID string) (Shipment, error) {
			return lockShipment(ctx, tx, orderID, s.now())
		},
		Store: func(ctx context.Context, tx *gorm.DB, c *aggregate.Change[Shipment]) error {
			return storeShipment(ctx, tx, c.After, s.now())
		},
	}
}

// on returns the handler that applies a rule to the shipment of the event's order.
func on[T events.ETO](s *Service, rule func(*Shipment, T) []contracts.ETO) func(context.Context, *gorm.DB, events.Received[T]) error {
	return func(ctx context.Context, tx *gorm.DB, e events.Received[T]) error {
		return s.shipments().Handle(ctx, tx, e.Event.Subject(), func(sh *Shipment) []contracts.ETO { return rule(sh, e.Event) })
	}
}
