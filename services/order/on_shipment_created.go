package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnShipmentCreated goes into the history only: a booked parcel has not left yet.
func (s *Service) OnShipmentCreated(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentCreated]) error {
	return s.change(ctx, tx, e.Event.OrderID, func(o *Order) []Fact {
		o.ShipmentID = e.Event.ShipmentID
		return nil
	}, newHistoryEntry(e, "a parcel is booked with the carrier"))
}
