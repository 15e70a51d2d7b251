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
		events.Handle("order-created", s.OnOrderCreated),
		events.Handle("inventory-reserved", s.OnInventoryReserved),
		events.Handle("order-cancelled", s.OnOrderCancelled),
		events.Handle("shipment-cancelled", s.OnShipmentCancelled),
		events.Handle("shipment-failed", s.OnShipmentFailed),
		events.HandleExternal("payment-charge-requested", s.doCharge, s.applyCharge, events.WithTimeout(conversation)),
		events.HandleExternal("payment-refund-requested", s.doRefund, s.applyRefund, events.WithTimeout(conversation)),
	}
}
