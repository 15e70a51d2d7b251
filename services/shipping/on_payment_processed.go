package shipping

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnPaymentProcessed notes that the order is paid for. Together with the order it starts the booking.
func (s *Service) OnPaymentProcessed(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentProcessed]) error {
	return s.change(ctx, tx, e.Event.OrderID, (*Shipment).PaymentProcessed)
}
