package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnPaymentFailed cancels the order.
func (s *Service) OnPaymentFailed(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentFailed]) error {
	countRejection(ctx, e.Type)
	return s.change(ctx, tx, e.Event.OrderID, func(o *Order) []Fact {
		o.DeclineCode = e.Event.Code
		return o.PaymentFailed()
	}, newHistoryEntry(e, "the card was declined: "+e.Event.Code))
}
