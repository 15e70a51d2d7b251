package model

import (
	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/order"
)

// Commands about an order.
const (
	placed          = "the order is placed"
	customerCancels = "the customer cancels"
)

// placedOrder is an order, and what was published about it.
type placedOrder struct {
	Order order.Order

	Accepted bool // a customer's cancel request was accepted
	PassedOn bool // and was published

	Confirmed, Completed, Cancelled int // how often each was published
}

func newOrderProcess() process[placedOrder] {
	type o = order.Order
	return process[placedOrder]{
		name:          "order",
		subscriptions: order.Subscriptions(nil),
		start: func(Circumstances) placedOrder {
			return placedOrder{Order: o{ID: "1", Total: order.Money{Amount: 2, Currency: "EUR"}}}
		},
		label: func(p *placedOrder) string { return string(p.Order.State()) },
		rules: map[string]rule[placedOrder]{
			placed:          func(p *placedOrder, _ event) []contracts.ETO { return p.Order.Place() },
			customerCancels: requestCancel,

			"inventory-reserved":           withOrder((*o).InventoryReserved),
			"inventory-reservation-failed": withOrder((*o).InventoryReservationFailed),
			"inventory-released":           nil, // goes into the history only

			"payment-processed": withOrder((*o).PaymentProcessed),
			"payment-failed":    withOrder((*o).PaymentFailed),
			"payment-refunded":  withOrder((*o).PaymentRefunded),
			"payment-voided":    withOrder((*o).PaymentVoided),

			"shipment-created":        withOrder((*o).ShipmentCreated),
			"shipment-dispatched":     withOrder((*o).ShipmentDispatched),
			"shipment-delivered":      withOrder((*o).ShipmentDelivered),
			"shipment-failed":         withOrder((*o).ShipmentFailed),
			"shipment-cancel-refused": withOrder((*o).ShipmentCancelRefused),

			deadline: withOrder((*o).OrderPaymentDeadlinePassed),

			// The catalogue is not about one order.
			"product-created": nil,
			"product-updated": nil,
			"product-deleted": nil,
		},
		note: func(p *placedOrder, etos []contracts.ETO) {
			for _, eto := range etos {
				switch e := eto.(type) {
				case contracts.OrderCancelRequested:
					p.PassedOn = p.PassedOn || e.Reason == contracts.ReasonCustomer
				case contracts.OrderConfirmed:
					p.Confirmed++
				case contracts.OrderCompleted:
					p.Completed++
				case contracts.OrderCancelled:
					p.Cancelled++
				}
			}
		},
	}
}

func withOrder[T contracts.ETO](f func(*order.Order, T) []contracts.ETO) rule[placedOrder] {
	return func(p *placedOrder, e event) []contracts.ETO { return f(&p.Order, toETO[T](e)) }
}

func requestCancel(p *placedOrder, _ event) []contracts.ETO {
	etos, err := p.Order.Cancel()
	if err == nil && p.Order.State() != order.Cancelled {
		p.Accepted = true
	}
	return etos
}
