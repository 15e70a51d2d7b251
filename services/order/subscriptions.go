package order

import "github.com/quadrille-dev/quadrille/pkg/events"

// Subscriptions is the table of everything that this service reacts to. The first column names the queue: renaming
// a reaction means moving what waits in it. s may be nil if only the names are wanted.
func Subscriptions(s *Service) []events.Subscription {
	return []events.Subscription{
		events.On("inventory-reserved", s.OnInventoryReserved),
		events.On("inventory-reservation-failed", s.OnInventoryReservationFailed),
		events.On("inventory-released", s.OnInventoryReleased),

		events.On("payment-processed", s.OnPaymentProcessed),
		events.On("payment-failed", s.OnPaymentFailed),
		events.On("payment-refunded", s.OnPaymentRefunded),
		events.On("payment-voided", s.OnPaymentVoided),

		events.On("shipment-created", s.OnShipmentCreated),
		events.On("shipment-dispatched", s.OnShipmentDispatched),
		events.On("shipment-delivered", s.OnShipmentDelivered),
		events.On("shipment-failed", s.OnShipmentFailed),
		events.On("shipment-cancel-refused", s.OnShipmentCancelRefused),

		events.On("order-payment-deadline-passed", s.OnOrderPaymentDeadlinePassed),

		events.On("product-created", s.OnProductCreated),
		events.On("product-updated", s.OnProductUpdated),
		events.On("product-deleted", s.OnProductDeleted),
	}
}
