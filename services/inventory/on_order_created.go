package inventory

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnOrderCreated reserves every item of the order, or none if some are short. An order without valid items is a
// dead letter.
func (s *Service) OnOrderCreated(ctx context.Context, tx *gorm.DB, e events.Received[contracts.OrderCreated]) error {
	items := make([]Item, len(e.Event.Items))
	for i, item := range e.Event.Items {
		items[i] = Item(item)
	}
	lines, err := NewOrderLines(items)
	if err != nil {
		return events.Permanent(err)
	}
	return allocations(lines...).Handle(ctx, tx, e.Event.OrderID, func(a *allocation) []contracts.ETO {
		return a.Reservation.OrderCreated(lines, a.Stock)
	})
}
