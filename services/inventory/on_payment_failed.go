package inventory

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnPaymentFailed releases what was set aside: the card was declined.
func (s *Service) OnPaymentFailed(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentFailed]) error {
	return s.change(ctx, tx, e.Event.OrderID, (*Reservation).PaymentFailed)
}
