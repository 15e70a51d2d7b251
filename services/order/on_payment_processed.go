package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnPaymentProcessed confirms the order, unless it is on its way to be cancelled.
func (s *Service) OnPaymentProcessed(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentProcessed]) error {
	return s.change(ctx, tx, e.Event.OrderID, func(o *Order) []Fact {
		o.PaymentID = e.Event.PaymentID
		return o.PaymentProcessed()
	}, newHistoryEntry(e, "the payment was made"))
}
