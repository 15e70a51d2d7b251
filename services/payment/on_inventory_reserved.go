package payment

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnInventoryReserved notes that the stock is set aside. Together with the order it starts the charge.
func (s *Service) OnInventoryReserved(ctx context.Context, tx *gorm.DB, e events.Received[contracts.InventoryReserved]) error {
	return s.change(ctx, tx, e.Event.OrderID, (*Payment).InventoryReserved)
}
