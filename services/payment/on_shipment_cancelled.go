package payment

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnShipmentCancelled gives the money back, or makes sure that it is never taken.
func (s *Service) OnShipmentCancelled(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentCancelled]) error {
	return s.change(ctx, tx, e.Event.OrderID, func(p *Payment) []Fact { return p.ShipmentCancelled(e.Event.Reason) })
}
