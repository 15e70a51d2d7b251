package order

import (
	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Subscriptions returns the table of the events that this service handles. The first column names the handler and its
// queue: messages in the queue of a renamed handler have to be moved. With a nil Service the table serves to declare
// the topology.
func Subscriptions(s *Service) []events.Subscription {
	return []events.Subscription{
		events.Handle("inventory-reserved", on(s, (*Order).InventoryReserved)),
		events.Handle("inventory-reservation-failed", on(s, (*Order).InventoryReservationFailed)),
		events.Handle("inventory-released", record[contracts.InventoryReleased](s)),

		events.Handle("payment-processed", on(s, (*Order).PaymentProcessed)),
		events.Handle("payment-failed", on(s, (*Order).PaymentFailed)),
		events.Handle("payment-refunded", on(s, (*Order).PaymentRefunded)),
		events.Handle("payment-voided", on(s, (*Order).PaymentVoided)),

		events.Handle("shipment-created", on(s, (*Order).ShipmentCreated)),
		events.Handle("shipment-dispatched", on(s, (*Order).ShipmentDispatched)),
		events.Handle("shipment-delivered", on(s, (*Order).ShipmentDelivered)),
		events.Handle("shipment-failed", on(s, (*Order).ShipmentFailed)),
		events.Handle("shipment-cancel-refused", s.OnShipmentCancelRefused),

		events.Handle("order-payment-deadline-passed", on(s, (*Order).OrderPaymentDeadlinePassed)),

		events.Handle("product-created", storing(fromProductCreated)),
		events.Handle("product-updated", storing(fromProductUpdated)),
		events.Handle("product-deleted", storing(fromProductDeleted)),
	}
}
