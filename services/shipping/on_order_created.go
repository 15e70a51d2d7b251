package shipping

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnOrderCreated notes where the parcel goes and what is in it. Together with the payment it starts the booking.
func (s *Service) OnOrderCreated(ctx context.Context, tx *gorm.DB, e events.Received[contracts.OrderCreated]) error {
	to := Address(e.Event.ShippingAddress)
	items := make([]Item, len(e.Event.Items))
	for i, item := range e.Event.Items {
		items[i] = Item(item)
	}
	return s.change(ctx, tx, e.Event.OrderID, func(sh *Shipment) []Fact { return sh.OrderCreated(to, items) })
}
