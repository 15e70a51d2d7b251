package order

import (
	"fmt"
	"time"
)

// Milestone is a fact that an order is to hear on its way, and the service that tells it.
type Milestone struct {
	Fact    string `json:"fact"`
	Service string `json:"service"`
}

// way is what an order hears if nothing goes wrong.
var way = []struct {
	Milestone
	seen func(*Order) bool
}{
	{Milestone{"reserved", "inventory"}, func(o *Order) bool { return o.Observed.Reserved }},
	{Milestone{"paid", "payment"}, func(o *Order) bool { return o.Observed.Paid }},
	{Milestone{"booked", "shipping"}, func(o *Order) bool { return o.ShipmentID != "" }},
	{Milestone{"dispatched", "shipping"}, func(o *Order) bool { return o.Observed.Dispatched }},
	{Milestone{"delivered", "shipping"}, func(o *Order) bool { return o.Observed.Delivered }},
}

// Patience says how long an order waits for others.
type Timeouts struct {
	Payment  time.Duration // after that, an order that is not paid is asked to be cancelled
	Services time.Duration // after that, an order that waits for one of our services has stalled
	Carrier  time.Duration // and one that waits for the hand-over or the delivery
}

// StallsAt is when the order will have waited for longer than it should; false if it has ended.
func (o *Order) StallsAt(p Timeouts) (time.Time, bool) {
	wait, waits := o.WaitingOn()
	switch {
	case !waits:
		return time.Time{}, false
	case wait.Fact == "dispatched" || wait.Fact == "delivered":
		return o.WaitingSince.Add(p.Carrier), true
	default:
		return o.WaitingSince.Add(p.Services), true
	}
}

// WaitsFor is what must be heard for the order to go on; false if it has ended. In the place of what it waits for,
// its refusal may come.
func (o *Order) WaitingOn() (Milestone, bool) {
	switch state := o.State(); {
	case state.Ended():
		return Milestone{}, false
	case state == Cancelling && o.Observed.ShipmentFailed:
		return Milestone{"cancelled", "payment"}, true // once the refund has landed
	case state == Cancelling:
		return Milestone{"cancelled", "shipping"}, true // which has payment give the money back, or says why not
	default:
		next := 0
		for i, m := range way {
			if m.seen(o) {
				next = i + 1
			}
		}
		return way[next].Milestone, true
	}
}

// Overtaken lists facts that have not been heard although later ones have: they are still under way.
func (o *Order) Overtaken() []Milestone {
	var missing, overtaken []Milestone
	for _, m := range way {
		if m.seen(o) {
			overtaken, missing = append(overtaken, missing...), nil
		} else {
			missing = append(missing, m.Milestone)
		}
	}
	return overtaken
}

// Message tells the customer what is happening, and why.
func (o *Order) Message() string {
	message := o.happening()
	if o.Stalled {
		message += " This takes longer than it should; we are looking into it."
	}
	return message
}

func (o *Order) happening() string {
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
		return o.cancelling()
	default:
		return o.cancelled()
	}
}

func (o *Order) cancelling() string {
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

func (o *Order) cancelled() string {
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
