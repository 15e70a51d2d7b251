package inventory

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnPaymentRefunded releases what was set aside: the order was paid for and will not be delivered.
func (s *Service) OnPaymentRefunded(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentRefunded]) error {
	return s.change(ctx, tx, e.Event.OrderID, (*Reservation).PaymentRefunded)
}
