package payment

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnOrderCreated notes what is to be paid, and how. Together with the reserved stock it starts the charge.
func (s *Service) OnOrderCreated(ctx context.Context, tx *gorm.DB, e events.Received[contracts.OrderCreated]) error {
	total := Money{Amount: e.Event.Total.Amount, Currency: e.Event.Total.Currency}
	return s.change(ctx, tx, e.Event.OrderID, func(p *Payment) []Fact {
		return p.OrderCreated(total, e.Event.PaymentMethod)
	})
}
