package payment

import (
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// conversation bounds one attempt at a charge or refund: five calls, each within its own time-out.
const conversation = 5*maxStripeTimeout + 10*time.Second

// Subscriptions is the table of everything that payment reacts to. The first column names the reaction's queue, so
// renaming one moves a queue. With s == nil it serves to declare the topology.
func Subscriptions(s *Service) []events.Subscription {
	return []events.Subscription{
		events.On("order-created", s.OnOrderCreated),
		events.On("inventory-reserved", s.OnInventoryReserved),
		events.On("order-cancelled", s.OnOrderCancelled),
		events.On("shipment-cancelled", s.OnShipmentCancelled),
		events.On("shipment-failed", s.OnShipmentFailed),
		events.OnVia("payment-charge-started", s.doCharge, s.applyCharge, events.Timeout(conversation)),
		events.OnVia("payment-refund-started", s.doRefund, s.applyRefund, events.Timeout(conversation)),
	}
}
