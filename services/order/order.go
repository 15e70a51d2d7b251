// Package order accepts customers' orders and shows customers the state of each.
//
// Guarantees: an accepted order is published with the prices that its customer was shown. The state of an order is a
// function of the facts observed so far, never of the event that came last, so that events may arrive late, twice and in
// any order. An order that has ended, completed or cancelled, stays so, and its end is published once. The service gives
// no orders to other services: a cancellation is a request that the shipping service decides on.
//
// This file is the domain: the types and the rules, without clock, database or broker. An event goes this way:
// subscriptions.go routes it to a rule, service.go locks the order's row, runs the rule and publishes the events that the
// rule returns.
package order

import (
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
)

// Order is what a customer bought, and what is known about its progress.
type Order struct {
	ID         string
	CustomerID string
	Items      []Item
	Total      Money
	ShipTo     Address
	PlacedAt   time.Time

	Observed
	Confirmed    bool      // order.confirmed has been published
	Reason       Reason    // why it was cancelled; empty until then
	WaitingSince time.Time // when it last made progress
	Stalled      bool      // order.stalled has been published since then

	// Details that no decision depends on.
	PaymentMethod string // published in order.created, never stored here
	PaymentID     string
	DeclineCode   string
	Refunded      bool // the total was captured and refunded
	ShipmentID    string
	Tracking      string

	Version int64 // grows with every event that the order publishes or records
}

// Money is an amount in minor units of an ISO 4217 currency.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Item is a quantity of one product at its price when the order was placed. It is stored and served as JSON.
type Item struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int    `json:"quantity"`
	UnitPrice Money  `json:"unitPrice"`
}

// Address is the destination of the parcel. It is stored and served as JSON.
type Address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode"`
	Country    string `json:"country"`
}

// State is the state of an order as the customer sees it. States may be skipped.
type State string

// States of an order: forward to completed, or by way of cancelling to cancelled.
const (
	Pending    State = contracts.OrderStatePending
	Reserved   State = contracts.OrderStateReserved
	Paid       State = contracts.OrderStatePaid
	Shipped    State = contracts.OrderStateShipped
	Completed  State = contracts.OrderStateCompleted
	Cancelling State = contracts.OrderStateCancelling
	Cancelled  State = contracts.OrderStateCancelled
)

// States lists all states.
var States = []State{Pending, Reserved, Paid, Shipped, Completed, Cancelling, Cancelled}

// Ended reports whether the state is final.
func (s State) Ended() bool { return s == Completed || s == Cancelled }

// Reason is why an order is being cancelled, or was.
type Reason string

// Reasons for a cancellation.
const (
	ByCustomer    Reason = contracts.ReasonCustomer
	ByDeadline    Reason = contracts.ReasonDeadline
	OutOfStock    Reason = contracts.ReasonOutOfStock
	CardDeclined  Reason = contracts.ReasonCardDeclined
	Undeliverable Reason = contracts.ReasonUndeliverable
)

// Observed is the set of facts that an order has observed. Facts are only added, except that the deadline's request is
// removed when it is refused.
type Observed struct {
	Reserved       bool
	Paid           bool
	Dispatched     bool
	Delivered      bool
	ShipmentFailed bool
	Cancelled      bool
	CustomerAsked  bool // the customer has asked to cancel
	DeadlineAsked  bool // the deadline has asked to cancel; refused if the payment turns out to be made
}

// State returns the state that follows from the facts: the first case that matches. A late fact cannot change the state
// of an order that has ended, because the cases of the two ends come first.
func (o Observed) State() State {
	switch {
	case o.Delivered:
		return Completed
	case o.Cancelled:
		return Cancelled
	case o.Dispatched:
		return Shipped
	case o.CustomerAsked, o.DeadlineAsked, o.ShipmentFailed:
		return Cancelling
	case o.Paid:
		return Paid
	case o.Reserved:
		return Reserved
	default:
		return Pending
	}
}

// Place returns the first events of a new order. The second one is scheduled for the payment deadline.
func (o *Order) Place() []contracts.ETO {
	created := contracts.OrderCreated{
		OrderID: o.ID, CustomerID: o.CustomerID, Total: contracts.Money(o.Total),
		ShippingAddress: contracts.Address(o.ShipTo), PaymentMethod: o.PaymentMethod,
	}
	for _, item := range o.Items {
		created.Items = append(created.Items, contracts.Item{SKU: item.SKU, Quantity: item.Quantity})
	}
	return []contracts.ETO{created, contracts.OrderPaymentDeadlinePassed{OrderID: o.ID}}
}

// InventoryReserved records that every item is reserved.
func (o *Order) InventoryReserved(contracts.InventoryReserved) []contracts.ETO {
	return o.observe(func() { o.Observed.Reserved = true })
}

// InventoryReservationFailed cancels the order: some item was short.
func (o *Order) InventoryReservationFailed(contracts.InventoryReservationFailed) []contracts.ETO {
	return o.observeCancelled(OutOfStock)
}

// PaymentProcessed confirms the order, unless it is being cancelled.
func (o *Order) PaymentProcessed(e contracts.PaymentProcessed) []contracts.ETO {
	o.PaymentID = e.PaymentID
	return o.observe(func() { o.Observed.Paid = true })
}

// PaymentFailed cancels the order: the card was declined.
func (o *Order) PaymentFailed(e contracts.PaymentFailed) []contracts.ETO {
	o.DeclineCode = e.Code
	return o.observeCancelled(CardDeclined)
}

// PaymentRefunded cancels the order for the reason of the event: the total was refunded.
func (o *Order) PaymentRefunded(e contracts.PaymentRefunded) []contracts.ETO {
	o.Refunded = true
	return o.observeCancelled(Reason(e.Reason))
}

// PaymentVoided cancels the order for the reason of the event: it will never be charged.
func (o *Order) PaymentVoided(e contracts.PaymentVoided) []contracts.ETO {
	return o.observeCancelled(Reason(e.Reason))
}

// ShipmentCreated records the parcel's id. The state stays: a booked parcel has not left.
func (o *Order) ShipmentCreated(e contracts.ShipmentCreated) []contracts.ETO {
	o.ShipmentID = e.ShipmentID
	return nil
}

// ShipmentDispatched records that the parcel has left. No cancellation can succeed any more.
func (o *Order) ShipmentDispatched(e contracts.ShipmentDispatched) []contracts.ETO {
	o.ShipmentID, o.Tracking = e.ShipmentID, e.Tracking
	return o.observe(func() { o.Observed.Dispatched = true })
}

// ShipmentDelivered completes the order.
func (o *Order) ShipmentDelivered(e contracts.ShipmentDelivered) []contracts.ETO {
	o.ShipmentID = e.ShipmentID
	return o.observe(func() { o.Observed.Delivered = !o.Observed.Cancelled })
}

// ShipmentFailed starts the cancellation: the carrier does not deliver to the address. The refund will end the order.
func (o *Order) ShipmentFailed(contracts.ShipmentFailed) []contracts.ETO {
	return o.observe(func() { o.Observed.ShipmentFailed = true })
}

// ShipmentCancelRefused records the fact that made the cancellation too late. If the order turned out to be paid, the
// deadline's request lapses; a request of the customer that was kept back until then is published now.
func (o *Order) ShipmentCancelRefused(e contracts.ShipmentCancelRefused) []contracts.ETO {
	if e.Because == contracts.BecauseDispatched {
		return o.observe(func() { o.Observed.Dispatched = true })
	}
	lapsed := o.Observed.DeadlineAsked
	etos := o.observe(func() { o.Observed.Paid, o.Observed.DeadlineAsked = true, false })
	if lapsed && o.Observed.CustomerAsked && o.State() == Cancelling {
		etos = append(etos, o.cancelRequested(contracts.ReasonCustomer))
	}
	return etos
}

// OrderPaymentDeadlinePassed requests the cancellation of an order that is not known to be paid.
func (o *Order) OrderPaymentDeadlinePassed(contracts.OrderPaymentDeadlinePassed) []contracts.ETO {
	switch o.State() {
	case Pending, Reserved:
		o.Observed.DeadlineAsked = true
		return []contracts.ETO{o.cancelRequested(contracts.ReasonDeadline)}
	default:
		return nil
	}
}

// Cancel is the customer's request to cancel. The shipping service decides whether it comes in time. Repeating it
// changes nothing. The error is a *TooLateError.
func (o *Order) Cancel() ([]contracts.ETO, error) {
	switch o.State() {
	case Pending, Reserved, Paid:
		o.Observed.CustomerAsked = true
		return []contracts.ETO{o.cancelRequested(contracts.ReasonCustomer)}, nil
	case Cancelling:
		// If only the deadline has asked, its request is decided first: see ShipmentCancelRefused.
		o.Observed.CustomerAsked = o.Observed.CustomerAsked || o.Observed.DeadlineAsked
		return nil, nil
	case Shipped:
		return nil, &TooLateError{Because: "dispatched"}
	case Completed:
		return nil, &TooLateError{Because: "delivered"}
	default: // Cancelled, as requested.
		return nil, nil
	}
}

// Overdue publishes that the order has waited for longer than it should, once until the order makes progress.
func (o *Order) Overdue() []contracts.ETO {
	if o.Stalled || o.State().Ended() {
		return nil
	}
	o.Stalled = true
	next, _ := o.WaitingOn()
	return []contracts.ETO{contracts.OrderStalled{
		OrderID: o.ID, State: string(o.State()), Missing: next.Fact, WaitingOn: next.Service, Since: o.WaitingSince,
	}}
}

// TooLateError means that an order cannot be cancelled any more.
type TooLateError struct {
	Because string // dispatched or delivered
}

func (e *TooLateError) Error() string { return "too late to cancel: " + e.Because }

// Why returns the reason for which the order was cancelled or, while it is being cancelled, will be. It is empty for
// other states.
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

// observe adds a fact and returns the events that announce the state that follows from it.
func (o *Order) observe(add func()) []contracts.ETO {
	before := o.State()
	add()
	after := o.State()

	var etos []contracts.ETO
	if !o.Confirmed && (after == Paid || after == Shipped || after == Completed) {
		o.Confirmed = true
		etos = append(etos, contracts.OrderConfirmed{OrderID: o.ID, CustomerID: o.CustomerID, Total: contracts.Money(o.Total)})
	}
	if after != before && after == Completed {
		etos = append(etos, contracts.OrderCompleted{OrderID: o.ID, CustomerID: o.CustomerID, Total: contracts.Money(o.Total)})
	}
	if after != before && after == Cancelled {
		etos = append(etos, contracts.OrderCancelled{OrderID: o.ID, Reason: string(o.Reason)})
	}
	return etos
}

// observeCancelled cancels the order, unless it has ended already.
func (o *Order) observeCancelled(why Reason) []contracts.ETO {
	if o.Observed.Delivered || o.Observed.Cancelled {
		return nil
	}
	o.Reason = why
	return o.observe(func() { o.Observed.Cancelled = true })
}

func (o *Order) cancelRequested(reason string) contracts.ETO {
	return contracts.OrderCancelRequested{OrderID: o.ID, Reason: reason}
}
