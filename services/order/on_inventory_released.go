package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnInventoryReleased goes into the history only.
func (s *Service) OnInventoryReleased(ctx context.Context, tx *gorm.DB, e events.Received[contracts.InventoryReleased]) error {
	return s.change(ctx, tx, e.Event.OrderID, nil, newHistoryEntry(e, "the items are for sale again"))
}
