package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnShipmentDelivered completes the order.
func (s *Service) OnShipmentDelivered(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentDelivered]) error {
	return s.change(ctx, tx, e.Event.OrderID, func(o *Order) []Fact {
		o.ShipmentID = e.Event.ShipmentID
		return o.ShipmentDelivered()
	}, newHistoryEntry(e, "the parcel was delivered"))
}
