package payment

import (
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// processorTimeout bounds one attempt at a charge or refund: up to five calls, each within its own timeout.
const processorTimeout = 5*maxStripeTimeout + 10*time.Second

// Subscriptions returns the table of the events that this service handles. The first column names the handler and its
// queue: messages in the queue of a renamed handler have to be moved. With a nil Service the table serves to declare
// the topology.
func Subscriptions(s *Service) []events.Subscription {
	timeout := events.WithTimeout(processorTimeout)
	untilKnown := events.WithUnlimitedRetries() // the money may have moved, or is the customer's
	return []events.Subscription{
		events.Handle("order-created", on(s, (*Payment).OrderCreated)),
		events.Handle("inventory-reserved", on(s, (*Payment).InventoryReserved)),
		events.Handle("order-cancelled", on(s, (*Payment).OrderCancelled)),
		events.Handle("shipment-cancelled", on(s, (*Payment).ShipmentCancelled)),
		events.Handle("shipment-failed", on(s, (*Payment).ShipmentFailed)),
		events.HandleExternal("payment-charge-requested", s.callCharge, s.applyCharge, timeout, untilKnown),
		events.HandleExternal("payment-refund-requested", s.callRefund, s.applyRefund, timeout, untilKnown),
	}
}
