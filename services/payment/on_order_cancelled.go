package payment

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnOrderCancelled makes sure that a cancelled order is not charged later, and forgets its card.
func (s *Service) OnOrderCancelled(ctx context.Context, tx *gorm.DB, e events.Received[contracts.OrderCancelled]) error {
	return s.change(ctx, tx, e.Event.OrderID, func(p *Payment) []Fact { return p.OrderCancelled(e.Event.Reason) })
}
