package order

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnShipmentCancelRefused applies the fact that made the cancellation too late. An unknown fact is a dead letter.
func (s *Service) OnShipmentCancelRefused(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentCancelRefused]) error {
	switch e.Event.Because {
	case contracts.BecauseDispatched, contracts.BecausePaid:
		return on(s, (*Order).ShipmentCancelRefused)(ctx, tx, e)
	default:
		return events.Permanent(fmt.Errorf("order %s: cancellation refused because of unknown fact %q", e.Event.OrderID, e.Event.Because))
	}
}
