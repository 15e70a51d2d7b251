package order

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnInventoryReservationFailed cancels the order and tells the customer what was short.
func (s *Service) OnInventoryReservationFailed(ctx context.Context, tx *gorm.DB, e events.Received[contracts.InventoryReservationFailed]) error {
	countRefusal(ctx, e.Type)
	return s.change(ctx, tx, e.Event.OrderID, (*Order).StockShort, heard(e, shortageWords(e.Event.Shortages)))
}

func shortageWords(shortages []contracts.Shortage) string {
	lines := make([]string, len(shortages))
	for i, s := range shortages {
		lines[i] = fmt.Sprintf("%s, %d wanted, %d available", s.SKU, s.Requested, s.Available)
	}
	return "not enough in stock: " + strings.Join(lines, "; ")
}
