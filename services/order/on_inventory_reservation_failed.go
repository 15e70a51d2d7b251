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
	countRejection(ctx, e.Type)
	return s.change(ctx, tx, e.Event.OrderID, (*Order).InventoryReservationFailed, newHistoryEntry(e, shortageWords(e.Event.Shortages)))
}

func shortageWords(shortages []contracts.Shortage) string {
	lines := make([]string, len(shortages))
	for i, s := range shortages {
		lines[i] = fmt.Sprintf("%s, %d wanted, %d available", s.SKU, s.Requested, s.Available)
	}
	return "not enough in stock: " + strings.Join(lines, "; ")
}
