package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnPaymentRefunded cancels the order: the money is back, for the reason that the event names.
func (s *Service) OnPaymentRefunded(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentRefunded]) error {
	return s.change(ctx, tx, e.Event.OrderID, func(o *Order) []Fact {
		return o.PaymentRefunded(Reason(e.Event.Reason))
	}, newHistoryEntry(e, "the payment was given back"))
}
