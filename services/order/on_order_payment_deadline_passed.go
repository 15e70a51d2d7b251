package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnOrderPaymentDeadlinePassed asks to cancel an order that is still not paid. Nothing is noted if it is.
func (s *Service) OnOrderPaymentDeadlinePassed(ctx context.Context, tx *gorm.DB, e events.Received[contracts.OrderPaymentDeadlinePassed]) error {
	return s.change(ctx, tx, e.Event.OrderID, (*Order).DeadlinePassed)
}
