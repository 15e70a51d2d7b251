package inventory

import "github.com/quadrille-dev/quadrille/pkg/events"

// Subscriptions is what this service reacts to, each reaction with a queue of its own that is named after it. The job
// that declares the queues asks with a nil Service.
func Subscriptions(s *Service) []events.Subscription {
	return []events.Subscription{
		events.On("order-created", s.OnOrderCreated),
		events.On("payment-failed", s.OnPaymentFailed),
		events.On("payment-refunded", s.OnPaymentRefunded),
		events.On("payment-voided", s.OnPaymentVoided),
		events.On("shipment-dispatched", s.OnShipmentDispatched),
	}
}
