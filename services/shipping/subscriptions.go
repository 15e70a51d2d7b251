package shipping

import "github.com/quadrille-dev/quadrille/pkg/events"

// Subscriptions is the table of everything that shipping reacts to. The first column names the reaction's queue, so
// renaming one moves a queue. With s == nil it serves to declare the topology.
func Subscriptions(s *Service) []events.Subscription {
	return []events.Subscription{
		events.On("order-created", s.OnOrderCreated),
		events.On("payment-processed", s.OnPaymentProcessed),
		events.On("order-cancel-requested", s.OnOrderCancelRequested),
		events.On("order-cancelled", s.OnOrderCancelled),
		events.OnVia("shipment-booking-started", s.doBooking, s.applyBooking),
		events.OnVia("shipment-cancel-started", s.doCancel, s.applyCancel),
	}
}
