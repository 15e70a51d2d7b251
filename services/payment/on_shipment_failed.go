package payment

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnShipmentFailed gives the money back, because the carrier will not deliver.
func (s *Service) OnShipmentFailed(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentFailed]) error {
	return s.change(ctx, tx, e.Event.OrderID, func(p *Payment) []Fact {
		return p.ShipmentFailed(contracts.ReasonUndeliverable)
	})
}
