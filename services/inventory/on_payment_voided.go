package inventory

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnPaymentVoided releases what was set aside, or sees to it that nothing ever will be: the order will not be charged.
func (s *Service) OnPaymentVoided(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentVoided]) error {
	return s.change(ctx, tx, e.Event.OrderID, (*Reservation).PaymentVoided)
}
