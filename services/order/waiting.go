package order

import (
	"fmt"
	"slices"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
)

// Milestone is a fact that an order waits for, and the service that publishes it.
type Milestone struct {
	Fact    string `json:"missing"`
	Service string `json:"waitingOn"`
}

// milestones lists the facts of an order that completes, in order.
var milestones = []struct {
	Milestone
	reached func(*Order) bool
}{
	{Milestone{"reserved", "inventory"}, func(o *Order) bool { return o.Observed.Reserved }},
	{Milestone{"paid", "payment"}, func(o *Order) bool { return o.Observed.Paid }},
	{Milestone{"booked", "shipping"}, func(o *Order) bool { return o.ShipmentID != "" }},
	{Milestone{"dispatched", "shipping"}, func(o *Order) bool { return o.Observed.Dispatched }},
	{Milestone{"delivered", "shipping"}, func(o *Order) bool { return o.Observed.Delivered }},
}

// Timeouts holds how long an order may wait.
type Timeouts struct {
	Payment  time.Duration // for the payment; then the order requests its cancellation
	Services time.Duration // for a fact of a service; then the order has stalled
	Carrier  time.Duration // for the dispatch or the delivery by the carrier; then the order has stalled
}

// StallsAt returns when the order will have waited for longer than it should, and false if it has ended.
func (o *Order) StallsAt(t Timeouts) (time.Time, bool) {
	_, waits := o.WaitingOn()
	switch {
	case !waits:
		return time.Time{}, false
	case o.WaitsForCarrier():
		return o.WaitingSince.Add(t.Carrier), true
	default:
		return o.WaitingSince.Add(t.Services), true
	}
}

// WaitsForCarrier reports whether the order waits for the carrier, and not for a service.
func (o *Order) WaitsForCarrier() bool {
	next, waits := o.WaitingOn()
	return waits && (next.Fact == "dispatched" || next.Fact == "delivered")
}

// progressed reports whether the order waits for something else than before the change.
func progressed(before, after *Order, etos []contracts.ETO) bool {
	was, _ := before.WaitingOn()
	is, _ := after.WaitingOn()
	return before.State() != after.State() || was != is ||
		slices.Contains(etos, after.cancelRequested(contracts.ReasonCustomer))
}

// WaitingOn returns the milestone that the order waits for, and false if it has ended. The service may also publish the
// rejection instead of the fact.
func (o *Order) WaitingOn() (Milestone, bool) {
	switch state := o.State(); {
	case state.Ended():
		return Milestone{}, false
	case state == Cancelling && o.Observed.ShipmentFailed:
		return Milestone{"cancelled", "payment"}, true // once the refund is made
	case state == Cancelling:
		return Milestone{"cancelled", "shipping"}, true // which has the payment refunded, or publishes why not
	default:
		next := 0
		for i, m := range milestones {
			if m.reached(o) {
				next = i + 1
			}
		}
		return milestones[next].Milestone, true
	}
}

// Overtaken returns the missing facts of which a later one has been observed: their events are still on the way.
func (o *Order) Overtaken() []Milestone {
	var missing, overtaken []Milestone
	for _, m := range milestones {
		if m.reached(o) {
			overtaken, missing = append(overtaken, missing...), nil
		} else {
			missing = append(missing, m.Milestone)
		}
	}
	return overtaken
}

// Message returns a sentence for the customer: what is happening, and why.
func (o *Order) Message() string {
	message := o.describeState()
	if o.Stalled {
		message += " This takes longer than it should; we are looking into it."
	}
	return message
}

func (o *Order) describeState() string {
	switch o.State() {
	case Pending:
		return "We are checking that everything you ordered is in stock."
	case Reserved:
		return "Your items are set aside, and your payment is being made."
	case Paid:
		return "Your payment was made, and your parcel is being prepared."
	case Shipped:
		if o.Tracking == "" {
			return "Your parcel is on its way."
		}
		return fmt.Sprintf("Your parcel is on its way; its tracking number is %s.", o.Tracking)
	case Completed:
		return "Your parcel was delivered."
	case Cancelling:
		return o.describeCancelling()
	default:
		return o.describeCancelled()
	}
}

func (o *Order) describeCancelling() string {
	switch o.Why() {
	case Undeliverable:
		return "The carrier cannot deliver to your address. You are getting your money back."
	case ByDeadline:
		if o.Observed.Paid {
			return "Your payment came late. We are finding out whether it came in time for the order to go on."
		}
		return "Your payment has not been made in time. The order will be cancelled, unless the payment turns out to be made."
	default:
		return "You asked to cancel. That is not certain yet: we are finding out whether your parcel can still be stopped."
	}
}

func (o *Order) describeCancelled() string {
	money := " Nothing was charged."
	if o.Refunded {
		money = " You got your money back."
	}
	switch o.Why() {
	case OutOfStock:
		return "Cancelled, because not everything you ordered was in stock." + money
	case CardDeclined:
		return fmt.Sprintf("Cancelled, because your payment was declined (%s).%s", o.DeclineCode, money)
	case Undeliverable:
		return "Cancelled, because the carrier cannot deliver to your address." + money
	case ByDeadline:
		if o.Observed.CustomerAsked {
			return "Cancelled, as you asked; the payment was not made in time, either." + money
		}
		return "Cancelled, because the payment was not made in time." + money
	case ByCustomer:
		return "Cancelled, as you asked." + money
	default:
		return "Cancelled." + money
	}
}
