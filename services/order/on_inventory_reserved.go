package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnInventoryReserved notes that every item is set aside.
func (s *Service) OnInventoryReserved(ctx context.Context, tx *gorm.DB, e events.Received[contracts.InventoryReserved]) error {
	return s.change(ctx, tx, e.Event.OrderID, (*Order).InventoryReserved, newHistoryEntry(e, "every item is set aside"))
}
