package shipping

import "github.com/quadrille-dev/quadrille/pkg/events"

// Subscriptions is the table of everything that shipping reacts to. The first column names the reaction's queue, so
// renaming one moves a queue. With s == nil it serves to declare the topology.
func Subscriptions(s *Service) []events.Subscription {
	return []events.Subscription{
		events.Handle("order-created", s.OnOrderCreated),
		events.Handle("payment-processed", s.OnPaymentProcessed),
		events.Handle("order-cancel-requested", s.OnOrderCancelRequested),
		events.Handle("order-cancelled", s.OnOrderCancelled),
		events.HandleExternal("shipment-booking-requested", s.doBooking, s.applyBooking),
		events.HandleExternal("shipment-cancellation-requested", s.doCancel, s.applyCancel),
	}
}
