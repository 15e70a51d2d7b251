package model

import (
	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/services/payment"
	"github.com/quadrille-dev/quadrille/services/shipping"
)

// invariant is a condition that must hold.
type invariant struct {
	text  string
	holds func(v *view) bool
}

// stateInvariants must hold in every state.
var stateInvariants = []invariant{
	{"the card is charged at most once", func(v *view) bool { return v.captures <= 1 }},
	{"refunds never exceed captures", func(v *view) bool { return v.refunds <= v.captures }},
	{"at most one parcel is booked", func(v *view) bool { return v.parcels <= 1 }},
	{"stock on hand and reserved stock are never negative", func(v *view) bool {
		return v.stock.Product.Reserved >= 0 && v.stock.Product.Available() >= 0
	}},
	{"no parcel leaves for a cancelled order", func(v *view) bool {
		return !v.hasLeft() || v.order.Order.State() != order.Cancelled
	}},
	{"an order is confirmed at most once", func(v *view) bool { return v.order.Confirmed <= 1 }},
	{"an order ends at most once", func(v *view) bool { return v.order.Completed+v.order.Cancelled <= 1 }},
	{"a payment to be charged has a card, and a shipment to be booked has an address", func(v *view) bool {
		return (v.payment.PaymentMethod != "" || !v.payment.ShouldCharge()) &&
			(v.shipment.Shipment.Address != nil || !v.shipment.Shipment.ShouldBook())
	}},
	// A customer's cancel request waits while the deadline's is under way. After that, it has either been passed on, or
	// another fact has decided the end of the order.
	{"an accepted cancel request is passed on unless another fact has decided the end", func(v *view) bool {
		seen := v.order.Order.Observed
		return !v.order.Accepted || v.order.PassedOn ||
			seen.DeadlineAsked || seen.ShipmentFailed || seen.Cancelled || seen.Dispatched || seen.Delivered
	}},
}

// finalInvariants must hold in every state in which nothing more has to happen.
var finalInvariants = []invariant{
	{"the order ends completed or cancelled", func(v *view) bool { return v.completed() || v.cancelled() }},
	{"a completed order is paid for once, a cancelled one not at all", func(v *view) bool {
		paid := v.captures - v.refunds
		return (v.completed() && paid == 1) || (v.cancelled() && paid == 0)
	}},
	{"the stock of a completed order has left once", func(v *view) bool {
		return !v.completed() || (v.stock.Product.OnHand == plenty-ordered && v.stock.Product.Reserved == 0)
	}},
	{"the stock of a cancelled order is for sale", func(v *view) bool {
		return !v.cancelled() || (v.stock.Product.OnHand == onHand(v.Circumstances) && v.stock.Product.Reserved == 0)
	}},
	{"the parcel of a completed order is delivered, and none has left for a cancelled one", func(v *view) bool {
		return v.completed() == (v.parcel == delivered) && (!v.cancelled() || !v.hasLeft())
	}},
	{"inventory has ended", func(v *view) bool {
		switch v.stock.Reservation.State {
		case inventory.Committed:
			return v.completed()
		case inventory.Released, inventory.Failed, inventory.Tombstone:
			return v.cancelled()
		default:
			return false
		}
	}},
	{"payment has ended, and has deleted the card", func(v *view) bool {
		switch v.payment.State {
		case payment.Charged:
			return v.completed() && v.payment.PaymentMethod == ""
		case payment.Refunded, payment.Failed, payment.Voided:
			return v.cancelled() && v.payment.PaymentMethod == ""
		default:
			return false
		}
	}},
	{"shipping has ended, and has deleted the address", func(v *view) bool {
		switch v.shipment.Shipment.State {
		case shipping.Delivered:
			return v.completed() && v.shipment.Shipment.Address == nil
		case shipping.Failed, shipping.Cancelled:
			return v.cancelled() && v.shipment.Shipment.Address == nil
		default:
			return false
		}
	}},
	{"the end is published once", func(v *view) bool {
		return v.order.Completed+v.order.Cancelled == 1 && v.completed() == (v.order.Completed == 1)
	}},
	{"a completed order was confirmed", func(v *view) bool { return !v.completed() || v.order.Confirmed == 1 }},
	{"an order is cancelled for a reason that applies", func(v *view) bool {
		switch v.order.Order.Reason {
		case "":
			return v.completed()
		case order.ByCustomer:
			return v.order.Order.CustomerAsked
		case order.ByDeadline:
			return v.order.Order.DeadlineAsked
		case order.OutOfStock:
			return v.StockShort
		case order.CardDeclined:
			return v.CardDeclined
		case order.Undeliverable:
			return v.Undeliverable
		default:
			return false
		}
	}},
	{"the deadline cancels no order whose payment has reached shipping", func(v *view) bool {
		return v.order.Order.Reason != order.ByDeadline || !v.shipment.Shipment.Paid
	}},
	{"a cancel request that is passed on cancels the order, or is refused because the parcel has left", func(v *view) bool {
		return !v.order.PassedOn || v.cancelled() || v.shipment.Refused
	}},
}

func (v *view) completed() bool { return v.order.Order.State() == order.Completed }
func (v *view) cancelled() bool { return v.order.Order.State() == order.Cancelled }
func (v *view) hasLeft() bool   { return v.parcel == dispatched || v.parcel == delivered }

// broken returns the first invariant that does not hold, or "".
func (r *run) broken(w *state) string {
	v := r.view(w)
	for i := range stateInvariants {
		if !stateInvariants[i].holds(&v) {
			return stateInvariants[i].text
		}
	}
	if !r.atRest(w) {
		return ""
	}
	for i := range finalInvariants {
		if !finalInvariants[i].holds(&v) {
			return finalInvariants[i].text
		}
	}
	return ""
}
