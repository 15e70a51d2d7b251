package shipping

import "github.com/quadrille-dev/quadrille/pkg/events"

// Subscriptions returns the table of the events that this service handles. The first column names the handler and its
// queue: messages in the queue of a renamed handler have to be moved. With a nil Service the table serves to declare
// the topology.
func Subscriptions(s *Service) []events.Subscription {
	untilKnown := events.WithUnlimitedRetries() // an order that is paid waits for the carrier's decision
	return []events.Subscription{
		events.Handle("order-created", on(s, (*Shipment).OrderCreated)),
		events.Handle("payment-processed", on(s, (*Shipment).PaymentProcessed)),
		events.Handle("order-cancel-requested", on(s, (*Shipment).OrderCancelRequested)),
		events.Handle("order-cancelled", on(s, (*Shipment).OrderCancelled)),
		events.HandleExternal("shipment-booking-requested", s.callBooking, s.applyBooking, untilKnown),
		events.HandleExternal("shipment-cancellation-requested", s.callCancellation, s.applyCancellation, untilKnown),
	}
}
