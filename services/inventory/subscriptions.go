package inventory

import "github.com/quadrille-dev/quadrille/pkg/events"

// Subscriptions is what this service reacts to, each reaction with a queue of its own that is named after it. The job
// that declares the queues asks with a nil Service.
func Subscriptions(s *Service) []events.Subscription {
	return []events.Subscription{
		events.Handle("order-created", s.OnOrderCreated),
		events.Handle("payment-failed", s.OnPaymentFailed),
		events.Handle("payment-refunded", s.OnPaymentRefunded),
		events.Handle("payment-voided", s.OnPaymentVoided),
		events.Handle("shipment-dispatched", s.OnShipmentDispatched),
	}
}
