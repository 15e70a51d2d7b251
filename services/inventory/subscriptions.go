package inventory

import "github.com/quadrille-dev/quadrille/pkg/events"

// Subscriptions returns the table of the events that this service handles. The first column names the handler and its
// queue: messages in the queue of a renamed handler have to be moved. With a nil Service the table serves to declare
// the topology.
func Subscriptions(s *Service) []events.Subscription {
	return []events.Subscription{
		events.Handle("order-created", s.OnOrderCreated),
		events.Handle("payment-failed", on((*Reservation).PaymentFailed)),
		events.Handle("payment-refunded", on((*Reservation).PaymentRefunded)),
		events.Handle("payment-voided", on((*Reservation).PaymentVoided)),
		events.Handle("shipment-dispatched", on((*Reservation).ShipmentDispatched)),
	}
}
