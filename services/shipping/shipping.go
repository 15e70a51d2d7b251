// Package shipping books a parcel with the carrier once an order is paid, follows it until it is delivered, and decides
// whether a cancellation comes in time.
//
// Guarantees: at most one parcel for an order, and none leaves for a cancelled one, whatever is repeated, lost or
// reordered. Every decision is taken with the order's row locked, and no call to the carrier is made inside a database
// transaction. An undeliverable address is an event (shipment.failed); a carrier that is unavailable is an error, and
// the event is retried.
//
// This file is the domain: the types and the rules, without clock, database or broker. An event goes this way:
// subscriptions.go routes it to a rule, service.go locks the order's row, runs the rule and publishes the events that the
// rule returns.
package shipping

import "github.com/quadrille-dev/quadrille/contracts"

// State is the state of a shipment.
type State string

// States of a shipment. A shipment waits for two events, the order and its payment, which may arrive in any order. An
// outstanding call to the carrier is a state of its own. A booked parcel has not left: until the carrier has taken it,
// the carrier decides about a cancellation.
const (
	Waiting       State = "waiting"
	Booking       State = "booking"
	BookingCancel State = "booking_cancel" // being booked, to be cancelled
	Booked        State = "booked"
	Cancelling    State = "cancelling" // the carrier is asked to cancel
	Dispatched    State = "dispatched"
	Delivered     State = "delivered"
	Failed        State = "failed" // the carrier does not deliver to the address
	Cancelled     State = "cancelled"
)

// Address is the destination of a parcel.
type Address struct {
	Name       string
	Street     string
	City       string
	PostalCode string
	Country    string // ISO 3166-1 alpha-2
}

// Item is a quantity of one product.
type Item struct {
	SKU      string
	Quantity int
}

// Shipment is the shipment of one order. Its methods are the rules: each is named for the event, for the result of a call
// to the carrier or for the carrier's webhook that it handles, and returns the events to publish. An event that no longer
// matters changes nothing.
type Shipment struct {
	OrderID string
	State   State

	OrderReceived bool // order.created has arrived
	Paid          bool // payment.processed has arrived

	Address  *Address // dropped once the carrier has the parcel, or no parcel can follow
	Items    []Item
	ParcelID string // the carrier's id
	Tracking string // known once the carrier has the parcel
	Detail   string // why the carrier does not deliver
	Reason   string // why it was cancelled
}

// NewShipment returns the shipment of an order that has not arrived yet.
func NewShipment(orderID string) Shipment { return Shipment{OrderID: orderID, State: Waiting} }

// OrderCreated stores the address and the items. If the order was cancelled before it arrived, neither is stored.
func (s *Shipment) OrderCreated(e contracts.OrderCreated) []contracts.ETO {
	if s.State != Waiting || s.OrderReceived {
		return nil
	}
	to := Address(e.ShippingAddress)
	s.OrderReceived, s.Address, s.Items = true, &to, make([]Item, len(e.Items))
	for i, item := range e.Items {
		s.Items[i] = Item(item)
	}
	return s.bookIfComplete()
}

// PaymentProcessed records that the order is paid, the other condition of a booking.
func (s *Shipment) PaymentProcessed(contracts.PaymentProcessed) []contracts.ETO {
	if s.State != Waiting {
		return nil
	}
	s.Paid = true
	return s.bookIfComplete()
}

func (s *Shipment) bookIfComplete() []contracts.ETO {
	if !s.OrderReceived || !s.Paid {
		return nil
	}
	s.State = Booking
	return []contracts.ETO{contracts.ShipmentBookingRequested{OrderID: s.OrderID}}
}

// OrderCancelRequested cancels a shipment that has not begun, has the carrier decide about one that has, and refuses once
// the parcel has left. The event may arrive before the order itself. A request of the payment deadline gives way to a
// payment that has arrived, so that a backlog does not cancel paid orders.
func (s *Shipment) OrderCancelRequested(e contracts.OrderCancelRequested) []contracts.ETO {
	deadline := e.Reason == contracts.ReasonDeadline
	switch s.State {
	case Waiting:
		if deadline && s.Paid {
			return s.refuseCancellation(contracts.BecausePaid)
		}
		return s.cancel(e.Reason)
	case Booking:
		if deadline {
			return s.refuseCancellation(contracts.BecausePaid)
		}
		s.State, s.Reason = BookingCancel, e.Reason
		return nil
	case Booked:
		if deadline {
			return s.refuseCancellation(contracts.BecausePaid)
		}
		s.Reason = e.Reason
		return s.requestCancellation()
	case Dispatched, Delivered:
		return s.refuseCancellation(contracts.BecauseDispatched)
	default:
		return nil
	}
}

// OrderCancelled cancels a shipment that still waits. No service waits for an event about this.
func (s *Shipment) OrderCancelled(e contracts.OrderCancelled) []contracts.ETO {
	if s.State == Waiting {
		s.cancel(e.Reason)
	}
	return nil
}

// BookingAccepted records that the carrier has booked the parcel. If the order was cancelled during the booking, the
// carrier is asked to cancel the parcel.
func (s *Shipment) BookingAccepted(parcelID string) []contracts.ETO {
	switch s.State {
	case Booking:
		s.State, s.ParcelID = Booked, parcelID
		return []contracts.ETO{contracts.ShipmentCreated{OrderID: s.OrderID, ShipmentID: parcelID}}
	case BookingCancel:
		s.ParcelID = parcelID
		return s.requestCancellation()
	default:
		return nil
	}
}

// BookingRejected records that the carrier does not deliver to the address.
func (s *Shipment) BookingRejected(detail string) []contracts.ETO {
	if !s.ShouldBook() {
		return nil
	}
	s.State, s.Detail, s.Address = Failed, detail, nil
	return []contracts.ETO{contracts.ShipmentFailed{OrderID: s.OrderID, Detail: detail}}
}

// CancellationGranted records that the carrier has cancelled the parcel.
func (s *Shipment) CancellationGranted() []contracts.ETO {
	if !s.ShouldCancel() {
		return nil
	}
	return s.cancel(s.Reason)
}

// Dispatched records that the carrier has taken the parcel, as its webhook or its refusal to cancel reports. That also
// ends a booking whose response has not arrived.
func (s *Shipment) Dispatched(parcelID, tracking string) []contracts.ETO {
	etos := []contracts.ETO{contracts.ShipmentDispatched{OrderID: s.OrderID, ShipmentID: parcelID, Tracking: tracking}}
	switch s.State {
	case Booking, Booked:
	case BookingCancel, Cancelling:
		etos = append(etos, s.refuseCancellation(contracts.BecauseDispatched)...)
	default:
		return nil
	}
	s.State, s.ParcelID, s.Tracking, s.Reason, s.Address = Dispatched, parcelID, tracking, "", nil
	return etos
}

// Delivered records that the customer has received the parcel. The carrier's webhook about it may overtake the one about
// the dispatch; then both events are published.
func (s *Shipment) Delivered(parcelID, tracking string) []contracts.ETO {
	etos := s.Dispatched(parcelID, tracking)
	if s.State != Dispatched {
		return nil
	}
	s.State = Delivered
	return append(etos, contracts.ShipmentDelivered{OrderID: s.OrderID, ShipmentID: s.ParcelID})
}

// ShouldBook reports whether the carrier should still be called for the booking. That includes a shipment that was
// cancelled during the booking: an earlier call may have booked the parcel, so the booking is completed and then
// cancelled.
func (s *Shipment) ShouldBook() bool { return s.State == Booking || s.State == BookingCancel }

// ShouldCancel reports whether the carrier should still be asked to cancel the parcel.
func (s *Shipment) ShouldCancel() bool { return s.State == Cancelling }

func (s *Shipment) cancel(reason string) []contracts.ETO {
	s.State, s.Reason, s.Address = Cancelled, reason, nil
	return []contracts.ETO{contracts.ShipmentCancelled{OrderID: s.OrderID, Reason: reason}}
}

func (s *Shipment) requestCancellation() []contracts.ETO {
	s.State = Cancelling
	return []contracts.ETO{contracts.ShipmentCancellationRequested{OrderID: s.OrderID}}
}

func (s *Shipment) refuseCancellation(because string) []contracts.ETO {
	return []contracts.ETO{contracts.ShipmentCancelRefused{OrderID: s.OrderID, Because: because}}
}
