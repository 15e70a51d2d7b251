package payment

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/aggregate"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Service applies the rules of payment.go to stored payments. It is safe for concurrent use, also by several processes
// on one database.
type Service struct {
	db      *gorm.DB
	gateway *Gateway
	now     func() time.Time
}

// New returns a service on db that charges through gateway.
func New(db *gorm.DB, gateway *Gateway) *Service {
	return &Service{db: db, gateway: gateway, now: func() time.Time { return time.Now().UTC() }}
}

// payments locks, stores and publishes payments.
func (s *Service) payments() aggregate.Type[Payment] {
	return aggregate.Type[Payment]{
		Service: "payment", Name: "payment", IDKey: "order_id",
		State: func(p Payment) string { return string(p.State) },
		Lock: func(_ context.Context, tx *gorm.DB, orderID string) (Payment, error) {
			return lockPayment(tx, orderID, s.now())
		},
		Store: func(_ context.Context, tx *gorm.DB, c *aggregate.Change[Payment]) error {
			return storePayment(tx, c.After, s.now())
		},
	}
}

// on returns the handler that applies a rule to the payment of the event's order.
func on[T events.ETO](s *Service, rule func(*Payment, T) []contracts.ETO) func(context.Context, *gorm.DB, events.Received[T]) error {
	return func(ctx context.Context, tx *gorm.DB, e events.Received[T]) error {
		return s.payments().Handle(ctx, tx, e.Event.Subject(), func(p *Payment) []contracts.ETO { return rule(p, e.Event) })
	}
}
