// Package order takes customers' orders and tells them what became of each.
//
// It promises: an order that was acknowledged is announced, priced as its customer was told; what a customer sees is
// a function of the facts seen so far, never of the one that came last, so that events may arrive late, twice and in
// any order; and an order that has ended, completed or cancelled, stays so and has said so once. It commands nobody:
// a cancellation is a request that others decide on.
//
// This file is the domain: what an order is and what each fact does to it. It knows no clock, no database and no
// broker. The way of a fact: on_<event>.go receives it, service.go locks the order, runs a rule from here and
// publishes what the rule answers.
package order

import "time"

// Order is what one customer bought, and what is known of its way.
type Order struct {
	ID         string
	CustomerID string
	Items      []Item
	Total      Money
	ShipTo     Address
	PlacedAt   time.Time

	Observed
	Confirmed    bool      // order.confirmed has been told
	Reason       Reason    // why it was cancelled; empty until it is
	WaitingSince time.Time // when it last got on
	Stalled      bool      // that it has waited for too long since then has been told

	// Details; no rule looks at them.
	PaymentMethod string // passed on with order.created, never stored here
	PaymentID     string
	DeclineCode   string
	Refunded      bool // money was captured and given back
	ShipmentID    string
	Tracking      string

	Version int64 // the number of things that happened to it
}

// Money is an amount in minor units of an ISO 4217 currency.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Item is a quantity of one product at the price it had when the order was placed. It is stored and shown as JSON.
type Item struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int    `json:"quantity"`
	UnitPrice Money  `json:"unitPrice"`
}

// Address is where the parcel goes. It is stored and shown as JSON.
type Address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode"`
	Country    string `json:"country"`
}

// State is what a customer sees. States may be skipped.
type State string

// The states: forward to completed, or by way of cancelling to cancelled.
const (
	Pending    State = "pending"
	Reserved   State = "reserved"
	Paid       State = "paid"
	Shipped    State = "shipped"
	Completed  State = "completed"
	Cancelling State = "cancelling"
	Cancelled  State = "cancelled"
)

// States lists all of them.
var States = []State{Pending, Reserved, Paid, Shipped, Completed, Cancelling, Cancelled}

// Ended says that nothing changes this state any more.
func (s State) Ended() bool { return s == Completed || s == Cancelled }

// Reason says why an order is being cancelled, or was.
type Reason string

// The reasons.
const (
	ByCustomer    Reason = "customer"
	ByDeadline    Reason = "deadline"
	OutOfStock    Reason = "out_of_stock"
	CardDeclined  Reason = "card_declined"
	Undeliverable Reason = "undeliverable"
)

// Fact is something this service tells the others.
type Fact string

// The facts that the order service publishes.
const (
	OrderCreated            Fact = "created"
	DeadlineScheduled       Fact = "payment_deadline_passed" // comes back once the deadline has passed
	CustomerCancelRequested Fact = "cancel_requested (customer)"
	DeadlineCancelRequested Fact = "cancel_requested (deadline)"
	OrderConfirmed          Fact = "confirmed"
	OrderCompleted          Fact = "completed"
	OrderCancelled          Fact = "cancelled"
	OrderStalled            Fact = "stalled"
)

// Seen is the set of facts that an order has seen. It only grows, but for a deadline's request that is refused.
type Observed struct {
	Reserved       bool
	Paid           bool
	Dispatched     bool
	Delivered      bool
	ShipmentFailed bool
	Cancelled      bool
	CustomerAsked  bool // to cancel
	DeadlineAsked  bool // to cancel, softly: refused if payment turns out to have been made
}

// State is the first line that matches. A late fact cannot wake an order that has ended, because the lines of the
// two ends come first.
func (s Observed) State() State {
	switch {
	case s.Delivered:
		return Completed
	case s.Cancelled:
		return Cancelled
	case s.Dispatched:
		return Shipped
	case s.CustomerAsked, s.DeadlineAsked, s.ShipmentFailed:
		return Cancelling
	case s.Paid:
		return Paid
	case s.Reserved:
		return Reserved
	default:
		return Pending
	}
}

// Place starts the order's way.
func (o *Order) Place() []Fact { return []Fact{OrderCreated, DeadlineScheduled} }

// StockReserved hears that every item is set aside.
func (o *Order) InventoryReserved() []Fact { return o.observe(func() { o.Observed.Reserved = true }) }

// StockShort hears that some item was short, so that nothing is set aside.
func (o *Order) InventoryReservationFailed() []Fact { return o.observeCancelled(OutOfStock) }

// PaymentProcessed hears that the total was captured.
func (o *Order) PaymentProcessed() []Fact { return o.observe(func() { o.Observed.Paid = true }) }

// PaymentFailed hears that the card was declined.
func (o *Order) PaymentFailed() []Fact { return o.observeCancelled(CardDeclined) }

// PaymentRefunded hears that everything captured was given back.
func (o *Order) PaymentRefunded(why Reason) []Fact {
	o.Refunded = true
	return o.observeCancelled(why)
}

// PaymentVoided hears that nothing will be captured.
func (o *Order) PaymentVoided(why Reason) []Fact { return o.observeCancelled(why) }

// ShipmentDispatched hears that the parcel was handed over: no cancellation can succeed any more.
func (o *Order) ShipmentDispatched() []Fact {
	return o.observe(func() { o.Observed.Dispatched = true })
}

// ShipmentDelivered hears that the customer has the parcel.
func (o *Order) ShipmentDelivered() []Fact {
	return o.observe(func() { o.Observed.Delivered = !o.Observed.Cancelled })
}

// ShipmentFailed hears that the carrier will not deliver to the address. The refund will end the order.
func (o *Order) ShipmentFailed() []Fact {
	return o.observe(func() { o.Observed.ShipmentFailed = true })
}

// CancelRefusedDispatched hears that a cancellation came too late: the parcel had been handed over.
func (o *Order) CancelRefusedDispatched() []Fact { return o.ShipmentDispatched() }

// CancelRefusedPaid hears that the deadline's request found the order paid for: the request lapses. A customer who
// asked meanwhile had to wait for this answer; now the wish is passed on.
func (o *Order) CancelRefusedPaid() []Fact {
	lapsed := o.Observed.DeadlineAsked
	facts := o.observe(func() { o.Observed.Paid, o.Observed.DeadlineAsked = true, false })
	if lapsed && o.Observed.CustomerAsked && o.State() == Cancelling {
		facts = append(facts, CustomerCancelRequested)
	}
	return facts
}

// DeadlinePassed asks for the cancellation of an order that is not known to be paid for.
func (o *Order) DeadlinePassed() []Fact {
	switch o.State() {
	case Pending, Reserved:
		o.Observed.DeadlineAsked = true
		return []Fact{DeadlineCancelRequested}
	default:
		return nil
	}
}

// Cancel is the customer's wish. It is only a request: others decide whether it comes in time. Asking again changes
// nothing, and a *TooLateError names the fact that made it too late.
func (o *Order) Cancel() ([]Fact, error) {
	switch o.State() {
	case Pending, Reserved, Paid:
		o.Observed.CustomerAsked = true
		return []Fact{CustomerCancelRequested}, nil
	case Cancelling:
		// If only the deadline has asked, its answer decides first: see CancelRefusedPaid.
		o.Observed.CustomerAsked = o.Observed.CustomerAsked || o.Observed.DeadlineAsked
		return nil, nil
	case Shipped:
		return nil, &TooLateError{Because: "dispatched"}
	case Completed:
		return nil, &TooLateError{Because: "delivered"}
	default: // Cancelled is what was asked for.
		return nil, nil
	}
}

// Overdue says that the order has waited for longer than it should. Somebody is told of it, once until its state
// changes; the order itself waits on.
func (o *Order) Overdue() []Fact {
	if o.Stalled || o.State().Ended() {
		return nil
	}
	o.Stalled = true
	return []Fact{OrderStalled}
}

// TooLateError refuses a cancellation.
type TooLateError struct {
	Because string // dispatched or delivered
}

func (e *TooLateError) Error() string { return "too late to cancel: " + e.Because }

// Why is the reason for which the order was cancelled or, while it is being cancelled, will be. Empty otherwise.
func (o *Order) Why() Reason {
	switch {
	case o.State() == Cancelled:
		return o.Reason
	case o.State() != Cancelling:
		return ""
	case o.Observed.ShipmentFailed:
		return Undeliverable
	case o.Observed.CustomerAsked:
		return ByCustomer
	default:
		return ByDeadline
	}
}

// see adds a fact and answers what is to be told on entering the state that follows from it.
func (o *Order) observe(add func()) []Fact {
	before := o.State()
	add()
	after := o.State()

	var facts []Fact
	if !o.Confirmed && (after == Paid || after == Shipped || after == Completed) {
		o.Confirmed = true
		facts = append(facts, OrderConfirmed)
	}
	if after != before && after == Completed {
		facts = append(facts, OrderCompleted)
	}
	if after != before && after == Cancelled {
		facts = append(facts, OrderCancelled)
	}
	return facts
}

// end cancels the order, unless it has ended already.
func (o *Order) observeCancelled(why Reason) []Fact {
	if o.Observed.Delivered || o.Observed.Cancelled {
		return nil
	}
	o.Reason = why
	return o.observe(func() { o.Observed.Cancelled = true })
}
