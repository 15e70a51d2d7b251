package shipping

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnOrderCancelled makes sure that a cancelled order is not shipped later, and forgets its address.
func (s *Service) OnOrderCancelled(ctx context.Context, tx *gorm.DB, e events.Received[contracts.OrderCancelled]) error {
	return s.change(ctx, tx, e.Event.OrderID, func(sh *Shipment) []Fact { return sh.OrderCancelled(e.Event.Reason) })
}
