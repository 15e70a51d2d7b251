package inventory

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnOrderCreated sets aside every item of the order, or none and says what was short.
func (s *Service) OnOrderCreated(ctx context.Context, tx *gorm.DB, e events.Received[contracts.OrderCreated]) error {
	wanted := make([]Item, len(e.Event.Items))
	for i, item := range e.Event.Items {
		wanted[i] = Item(item)
	}
	lines, err := NewOrderLines(wanted)
	if err != nil {
		return events.Permanent(err)
	}
	return s.change(ctx, tx, e.Event.OrderID, func(r *Reservation, shelf Stock) []Fact {
		return r.OrderCreated(lines, shelf)
	}, lines...)
}
