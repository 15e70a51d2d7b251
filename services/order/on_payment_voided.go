package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnPaymentVoided cancels the order: it will never be charged, for the reason that the event names.
func (s *Service) OnPaymentVoided(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentVoided]) error {
	return s.change(ctx, tx, e.Event.OrderID, func(o *Order) []Fact {
		return o.PaymentVoided(Reason(e.Event.Reason))
	}, newHistoryEntry(e, "the order will not be charged"))
}
