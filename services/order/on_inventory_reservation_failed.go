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
	return s.change(ctx, tx, e.Event.OrderID, (*Order).StockShort, heard(e, shortageWords(e.Event.Shortages)))
}

func shortageWords(shortages []contracts.Shortage) string {
	var b strings.Builder
	b.WriteString("not enough in stock")
	for i, s := range shortages {
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		fmt.Fprintf(&b, "%s%s, %d wanted, %d available", separator, s.SKU, s.Requested, s.Available)
	}
	return b.String()
}
