package model

import (
	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/inventory"
)

// The one product that is ordered: more is there than is wanted, so that selling it twice shows.
const (
	sku     = "TEA"
	ordered = 2
	plenty  = 3
	scarce  = 1
)

// stock is the order's reservation, and the product that it is about.
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

func inventories() party[stock, inventory.Fact] {
	to := func(f func(*inventory.Reservation, inventory.Stock) []inventory.Fact) rule[stock, inventory.Fact] {
		return func(s *stock, _ event) []inventory.Fact {
			return f(&s.Reservation, inventory.Stock{sku: &s.Product})
		}
	}
	return party[stock, inventory.Fact]{
		name:  "inventory",
		hears: inventory.Subscriptions(nil),
		start: func(c Circumstances) stock {
			return stock{inventory.NewReservation("1"), inventory.Product{SKU: sku, OnHand: onHand(c)}}
		},
		label: func(s *stock) string { return string(s.Reservation.State) },
		rules: map[string]rule[stock, inventory.Fact]{
			"order-created": to(func(r *inventory.Reservation, shelf inventory.Stock) []inventory.Fact {
				return r.OrderCreated([]inventory.Item{{SKU: sku, Quantity: ordered}}, shelf)
			}),
			"payment-failed":      to((*inventory.Reservation).PaymentFailed),
			"payment-refunded":    to((*inventory.Reservation).PaymentRefunded),
			"payment-voided":      to((*inventory.Reservation).PaymentVoided),
			"shipment-dispatched": to((*inventory.Reservation).ShipmentDispatched),
		},
		tells: map[inventory.Fact]func(*stock) event{
			inventory.StockReserved: plain[stock](contracts.InventoryReserved{}),
			inventory.StockShort:    plain[stock](contracts.InventoryReservationFailed{}),
			inventory.StockReleased: plain[stock](contracts.InventoryReleased{}),
		},
	}
}
