package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnShipmentFailed starts to cancel the order: the refund will end it.
func (s *Service) OnShipmentFailed(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentFailed]) error {
	countRejection(ctx, e.Type)
	return s.change(ctx, tx, e.Event.OrderID, (*Order).ShipmentFailed, newHistoryEntry(e, "the carrier cannot deliver to this address: "+e.Event.Detail))
}
