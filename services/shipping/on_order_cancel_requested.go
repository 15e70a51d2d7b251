package shipping

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnOrderCancelRequested decides whether a cancellation still comes in time, or has the carrier decide.
func (s *Service) OnOrderCancelRequested(ctx context.Context, tx *gorm.DB, e events.Received[contracts.OrderCancelRequested]) error {
	return s.change(ctx, tx, e.Event.OrderID, func(sh *Shipment) []Fact { return sh.CancelRequested(e.Event.Reason) })
}
