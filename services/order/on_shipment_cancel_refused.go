package order

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnShipmentCancelRefused takes the order on to the fact that made the cancellation too late.
func (s *Service) OnShipmentCancelRefused(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentCancelRefused]) error {
	countRejection(ctx, e.Type)
	switch e.Event.Because {
	case contracts.BecauseDispatched:
		return s.change(ctx, tx, e.Event.OrderID, (*Order).CancelRefusedDispatched,
			newHistoryEntry(e, refusedAsLeft))
	case contracts.BecausePaid:
		return s.change(ctx, tx, e.Event.OrderID, (*Order).CancelRefusedPaid,
			newHistoryEntry(e, refusedAsPaidFor))
	default:
		return events.Permanent(fmt.Errorf("order %s: cancellation refused because of %q", e.Event.OrderID, e.Event.Because))
	}
}
