package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnShipmentDispatched notes that the parcel has left, with what the customer needs to follow it.
func (s *Service) OnShipmentDispatched(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentDispatched]) error {
	return s.change(ctx, tx, e.Event.OrderID, func(o *Order) []Fact {
		o.ShipmentID, o.Tracking = e.Event.ShipmentID, e.Event.Tracking
		return o.ShipmentDispatched()
	}, newHistoryEntry(e, "the parcel has left, tracking number "+e.Event.Tracking))
}
