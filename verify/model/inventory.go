package model

import (
	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/inventory"
)

// The only product of the order. The stock is larger than the order, so that selling it twice is noticed.
const (
	sku     = "TEA"
	ordered = 2
	plenty  = 3
	scarce  = 1
)

// stock is the order's reservation and its product.
type stock struct {
	Reservation inventory.Reservation
	Product     inventory.Product
}

func onHand(c Circumstances) int {
	if c.StockShort {
		return scarce
	}
	return plenty
}

func newInventoryProcess() process[stock] {
	return process[stock]{
		name:          "inventory",
		subscriptions: inventory.Subscriptions(nil),
		start: func(c Circumstances) stock {
			return stock{inventory.NewReservation("1"), inventory.Product{SKU: sku, OnHand: onHand(c)}}
		},
		label: func(s *stock) string { return string(s.Reservation.State) },
		rules: map[string]rule[stock]{
			"order-created": func(s *stock, _ event) []contracts.ETO {
				return s.Reservation.OrderCreated([]inventory.Item{{SKU: sku, Quantity: ordered}}, inventory.Stock{sku: &s.Product})
			},
			"payment-failed":      withStock((*inventory.Reservation).PaymentFailed),
			"payment-refunded":    withStock((*inventory.Reservation).PaymentRefunded),
			"payment-voided":      withStock((*inventory.Reservation).PaymentVoided),
			"shipment-dispatched": withStock((*inventory.Reservation).ShipmentDispatched),
		},
	}
}

func withStock[T contracts.ETO](f func(*inventory.Reservation, T, inventory.Stock) []contracts.ETO) rule[stock] {
	return func(s *stock, e event) []contracts.ETO {
		return f(&s.Reservation, toETO[T](e), inventory.Stock{sku: &s.Product})
	}
}
