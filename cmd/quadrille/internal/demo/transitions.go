package demo

import (
	"slices"
	"strings"

	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// transition is a state that an order entered, and the entry of its history that caused it.
type transition struct {
	state   order.State
	reason  order.Reason
	message string // for the customer
	cause   stackclient.HistoryEntry
}

// transitions returns the states that the order has entered up to its current one, including those that ended before the
// watcher read them. It derives them with the rules of the order service.
func transitions(o stackclient.Order) []transition {
	all := replay(o)
	for i, t := range slices.Backward(all) {
		if t.state == order.State(o.State) {
			all[i].reason, all[i].message = order.Reason(o.Reason), o.Message // they can have more details
			return all[:i+1]                                                  // the history is read after the state, and can be newer
		}
	}
	if o.State == "" {
		return nil
	}
	return append(all, transition{state: order.State(o.State), reason: order.Reason(o.Reason), message: o.Message})
}

func replay(o stackclient.Order) (all []transition) {
	past := order.Order{Tracking: o.Shipment.Tracking}
	for i, h := range o.History {
		before := past.State()
		observe(&past.Observed, h)
		if after := past.State(); i == 0 || after != before {
			all = append(all, transition{after, past.Why(), past.Message(), h})
		}
	}
	return all
}

// observe adds an event of the history to what the order service has observed.
func observe(o *order.Observed, h stackclient.HistoryEntry) {
	switch withoutVersion(h.Event) {
	case "inventory.reserved":
		o.Reserved = true
	case "payment.processed":
		o.Paid = true
	case "shipment.dispatched":
		o.Dispatched = true
	case "shipment.delivered":
		o.Delivered = !o.Cancelled
	case "shipment.failed":
		o.ShipmentFailed = true
	case "order.cancelled":
		o.Cancelled = true
	case "order.cancel_requested":
		// Only the description contains who requested it.
		if strings.Contains(h.Description, "customer") {
			o.CustomerAsked = true
		} else {
			o.DeadlineAsked = true
		}
	case "shipment.cancel_refused":
		// The deadline's request is refused because of the payment, the customer's because the parcel has left.
		if o.DeadlineAsked {
			o.Paid, o.DeadlineAsked = true, false
		} else {
			o.Dispatched = true
		}
	}
}
