package inventory

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnShipmentDispatched takes the stock off the books: the parcel has left with it.
func (s *Service) OnShipmentDispatched(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentDispatched]) error {
	return s.change(ctx, tx, e.Event.OrderID, (*Reservation).ShipmentDispatched)
}
