package order

import "github.com/quadrille-dev/quadrille/pkg/events"

// Subscriptions is the table of everything that this service reacts to. The first column names the queue: renaming
// a reaction means moving what waits in it. s may be nil if only the names are wanted.
func Subscriptions(s *Service) []events.Subscription {
	return []events.Subscription{
		events.Handle("inventory-reserved", s.OnInventoryReserved),
		events.Handle("inventory-reservation-failed", s.OnInventoryReservationFailed),
		events.Handle("inventory-released", s.OnInventoryReleased),

		events.Handle("payment-processed", s.OnPaymentProcessed),
		events.Handle("payment-failed", s.OnPaymentFailed),
		events.Handle("payment-refunded", s.OnPaymentRefunded),
		events.Handle("payment-voided", s.OnPaymentVoided),

		events.Handle("shipment-created", s.OnShipmentCreated),
		events.Handle("shipment-dispatched", s.OnShipmentDispatched),
		events.Handle("shipment-delivered", s.OnShipmentDelivered),
		events.Handle("shipment-failed", s.OnShipmentFailed),
		events.Handle("shipment-cancel-refused", s.OnShipmentCancelRefused),

		events.Handle("order-payment-deadline-passed", s.OnOrderPaymentDeadlinePassed),

		events.Handle("product-created", s.OnProductCreated),
		events.Handle("product-updated", s.OnProductUpdated),
		events.Handle("product-deleted", s.OnProductDeleted),
	}
}
