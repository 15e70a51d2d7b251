package demo

import (
	"slices"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// step is a state that an order came into, and the line of its history that brought it there.
type step struct {
	state string
	cause stackclient.Entry
}

// stepsTo are the states that the order came into up to its present one, also those that were over before anybody looked.
// A fact that was heard late has its place where it happened.
func stepsTo(o stackclient.Order) []step {
	all := stepsOf(o.History)
	for i, s := range slices.Backward(all) {
		if s.state == o.State {
			return all[:i+1] // the history is read after the order, and may be ahead of it
		}
	}
	if o.State == "" {
		return nil
	}
	return append(all, step{state: o.State})
}

func stepsOf(history []stackclient.Entry) (all []step) {
	var asked, left bool // asked to cancel; the parcel has left
	for _, h := range history {
		into := func(state string) { all = append(all, step{state, h}) }
		switch bare(h.Event) {
		case "order.created":
			into(pending)
		case "inventory.reserved":
			if !asked {
				into(reserved)
			}
		case "payment.processed":
			if !asked {
				into(paid)
			}
		case "shipment.dispatched":
			left = true
			into(shipped)
		case "order.cancel_requested":
			if !asked {
				into(cancelling)
			}
			asked = true
		case "shipment.failed":
			if !asked {
				into(cancelling)
			}
		case "shipment.cancel_refused": // it goes on
			if asked && !left {
				into(paid)
			}
			asked = false
		case "shipment.delivered":
			into(completed)
			return all
		case "order.cancelled":
			into(cancelled)
			return all
		}
	}
	return all
}

// toldOf is what the customer is told in a state, and why it is being cancelled. If the order has gone on since, it is
// what the order service says of such orders.
func toldOf(o stackclient.Order, s step) (reason, message string) {
	if s.state == o.State {
		return o.Reason, o.Message
	}
	switch s.state {
	case pending:
		return "", "We are checking that everything you ordered is in stock."
	case reserved:
		return "", "Your items are set aside, and your payment is being made."
	case paid:
		return "", "Your payment was made, and your parcel is being prepared."
	case shipped:
		if o.Shipment.Tracking == "" {
			return "", "Your parcel is on its way."
		}
		return "", "Your parcel is on its way; its tracking number is " + o.Shipment.Tracking + "."
	case cancelling:
		switch {
		case bare(s.cause.Event) == "shipment.failed":
			return "undeliverable", "The carrier cannot deliver to your address. You are getting your money back."
		case o.Reason == "deadline":
			return "deadline", "Your payment has not been made in time. The order will be cancelled, unless the payment turns out to be made."
		default:
			return "customer", "You asked to cancel. That is not certain yet: we are finding out whether your parcel can still be stopped."
		}
	default: // an end, after which there is nothing
		return o.Reason, o.Message
	}
}
