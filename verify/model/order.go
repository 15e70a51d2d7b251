package model

import (
	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/order"
)

// What happens to an order other than by events.
const (
	placed = "the order is placed"
	wished = "the customer cancels"
)

// placedOrder is an order, and what has been said to whom about it.
type placedOrder struct {
	Order order.Order

	Accepted bool // a customer's wish to cancel was answered with anything but "too late"
	PassedOn bool // and was told to the others

	Confirmed, Completed, Cancelled int // how often each was told
}

func orders() party[placedOrder, order.Fact] {
	to := func(f func(*order.Order) []order.Fact) rule[placedOrder, order.Fact] {
		return func(p *placedOrder, _ event) []order.Fact { return f(&p.Order) }
	}
	because := func(f func(*order.Order, order.Reason) []order.Fact) func(*placedOrder, event) []order.Fact {
		return func(p *placedOrder, e event) []order.Fact { return f(&p.Order, order.Reason(e.Detail)) }
	}
	return party[placedOrder, order.Fact]{
		name:  "order",
		hears: order.Subscriptions(nil),
		start: func(Circumstances) placedOrder {
			return placedOrder{Order: order.Order{ID: "1", Total: order.Money{Amount: 2, Currency: "EUR"}}}
		},
		label: func(p *placedOrder) string { return string(p.Order.State()) },
		rules: map[string]rule[placedOrder, order.Fact]{
			placed: to((*order.Order).Place),
			wished: wish,

			"inventory-reserved":           to((*order.Order).InventoryReserved),
			"inventory-reservation-failed": to((*order.Order).InventoryReservationFailed),
			"inventory-released":           nil, // goes into the history only

			"payment-processed": to((*order.Order).PaymentProcessed),
			"payment-failed":    to((*order.Order).PaymentFailed),
			"payment-refunded":  because((*order.Order).PaymentRefunded),
			"payment-voided":    because((*order.Order).PaymentVoided),

			"shipment-created":        nil, // goes into the history only
			"shipment-dispatched":     to((*order.Order).ShipmentDispatched),
			"shipment-delivered":      to((*order.Order).ShipmentDelivered),
			"shipment-failed":         to((*order.Order).ShipmentFailed),
			"shipment-cancel-refused": cancelRefused,

			"order-payment-deadline-passed": to((*order.Order).DeadlinePassed),

			// The catalogue is not about one order.
			"product-created": nil,
			"product-updated": nil,
			"product-deleted": nil,
		},
		tells: map[order.Fact]func(*placedOrder) event{
			order.OrderCreated:            plain[placedOrder](contracts.OrderCreated{}),
			order.DeadlineScheduled:       plain[placedOrder](contracts.OrderPaymentDeadlinePassed{}),
			order.CustomerCancelRequested: detailed[placedOrder](contracts.OrderCancelRequested{}, contracts.ReasonCustomer),
			order.DeadlineCancelRequested: detailed[placedOrder](contracts.OrderCancelRequested{}, contracts.ReasonDeadline),
			order.OrderConfirmed:          plain[placedOrder](contracts.OrderConfirmed{}),
			order.OrderCompleted:          plain[placedOrder](contracts.OrderCompleted{}),
			order.OrderCancelled: func(p *placedOrder) event {
				return event{contracts.OrderCancelled{}.EventType(), string(p.Order.Reason)}
			},
		},
		note: func(p *placedOrder, facts []order.Fact) {
			for _, f := range facts {
				switch f {
				case order.CustomerCancelRequested:
					p.PassedOn = true
				case order.OrderConfirmed:
					p.Confirmed++
				case order.OrderCompleted:
					p.Completed++
				case order.OrderCancelled:
					p.Cancelled++
				}
			}
		},
	}
}

func wish(p *placedOrder, _ event) []order.Fact {
	facts, err := p.Order.Cancel()
	if err == nil && p.Order.State() != order.Cancelled {
		p.Accepted = true
	}
	return facts
}

func cancelRefused(p *placedOrder, e event) []order.Fact {
	if e.Detail == contracts.BecausePaid {
		return p.Order.CancelRefusedPaid()
	}
	return p.Order.CancelRefusedDispatched()
}
