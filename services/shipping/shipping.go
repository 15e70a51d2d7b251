// Package shipping books a parcel with the carrier once an order is paid for, follows it to the customer's door,
// and decides whether a cancellation still comes in time.
//
// It promises: at most one parcel for an order, none handed over for a cancelled one, whatever is repeated, lost or
// reordered; a decision only ever taken with the order's row locked; and no call to the carrier inside a database
// transaction. An undeliverable address is an event, a carrier that does not answer is an error that is retried.
//
// This file is the domain: what a shipment is and what each fact does to it. It knows no clock, no database and no
// broker; service.go runs its rules.
package shipping

// State is where an order's shipment stands.
type State string

// A shipment waits for two facts, the order and its payment, that may arrive in either order. A call that is
// outstanding is a state of its own. Booked is not handed over: until the carrier has the parcel, a cancellation is
// the carrier's to grant or refuse.
const (
	Waiting       State = "waiting"
	Booking       State = "booking"
	BookingCancel State = "booking_cancel" // being booked, and already asked to cancel
	Booked        State = "booked"
	Cancelling    State = "cancelling" // the carrier is being asked whether it is still in time
	Dispatched    State = "dispatched"
	Delivered     State = "delivered"
	Failed        State = "failed" // the carrier will not deliver there
	Cancelled     State = "cancelled"
)

// Fact is something that this service tells others, or itself, about a shipment.
type Fact string

// What a rule may decide to publish.
const (
	BookingStarted          Fact = "booking_requested"      // to itself: book the parcel
	CancelStarted           Fact = "cancellation_requested" // to itself: ask the carrier to cancel
	ParcelBooked            Fact = "created"
	ParcelDispatched        Fact = "dispatched"
	ParcelDelivered         Fact = "delivered"
	ParcelUndeliverable     Fact = "failed"
	ShipmentCancelled       Fact = "cancelled"
	CancelRefusedPaid       Fact = "cancel_refused_paid"
	CancelRefusedDispatched Fact = "cancel_refused_dispatched"
)

// ReasonDeadline is the one reason for a cancellation that makes a difference here.
const ReasonDeadline = "deadline"

// Address is where a parcel goes.
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

// Shipment is what is known about sending one order. Its methods are the rules: each takes a fact, moves the
// shipment on and answers what to publish; nil means that there is nothing to tell, which is also the answer to a
// fact that no longer matters.
type Shipment struct {
	OrderID string
	State   State

	OrderSeen   bool // order.created has arrived
	PaymentSeen bool // payment.processed has arrived

	Address  *Address // dropped once the carrier has the parcel, or none can follow
	Items    []Item
	ParcelID string // the carrier's id
	Tracking string // known once the carrier has the parcel
	Detail   string // why the carrier will not deliver
	Reason   string // why it was cancelled
}

// NewShipment is the shipment of an order that nothing is known about yet.
func NewShipment(orderID string) Shipment { return Shipment{OrderID: orderID, State: Waiting} }

// OrderCreated brings the address and the items. If the order was cancelled before it was met, neither is kept.
func (s *Shipment) OrderCreated(to Address, items []Item) []Fact {
	if s.State != Waiting || s.OrderSeen {
		return nil
	}
	s.OrderSeen, s.Address, s.Items = true, &to, items
	return s.bookIfComplete()
}

// PaymentProcessed is the other half of what a booking needs.
func (s *Shipment) PaymentProcessed() []Fact {
	if s.State != Waiting {
		return nil
	}
	s.PaymentSeen = true
	return s.bookIfComplete()
}

func (s *Shipment) bookIfComplete() []Fact {
	if !s.OrderSeen || !s.PaymentSeen {
		return nil
	}
	s.State = Booking
	return []Fact{BookingStarted}
}

// BookingAccepted is the carrier's word that it will fetch the parcel. If the order was cancelled meanwhile, the
// carrier is asked to forget it.
func (s *Shipment) BookingAccepted(parcelID string) []Fact {
	switch s.State {
	case Booking:
		s.State, s.ParcelID = Booked, parcelID
		return []Fact{ParcelBooked}
	case BookingCancel:
		s.State, s.ParcelID = Cancelling, parcelID
		return []Fact{CancelStarted}
	default:
		return nil
	}
}

// BookingRefused is the carrier's word that it will not deliver to this address.
func (s *Shipment) BookingRejected(detail string) []Fact {
	if !s.ShouldBook() {
		return nil
	}
	s.State, s.Detail = Failed, detail
	s.forgetAddress()
	return []Fact{ParcelUndeliverable}
}

// CancelRequested stops a shipment that has not begun, asks the carrier about one that has, and comes too late once
// the parcel has left. It may arrive before the order itself. The deadline's request is the softer one: it yields to
// a payment that has been seen, so that a mere backlog does not cancel orders that are paid for.
func (s *Shipment) CancelRequested(reason string) []Fact {
	soft := reason == ReasonDeadline
	switch s.State {
	case Waiting:
		if soft && s.PaymentSeen {
			return []Fact{CancelRefusedPaid}
		}
		s.cancel(reason)
		return []Fact{ShipmentCancelled}
	case Booking:
		if soft {
			return []Fact{CancelRefusedPaid}
		}
		s.State, s.Reason = BookingCancel, reason
		return nil
	case Booked:
		if soft {
			return []Fact{CancelRefusedPaid}
		}
		s.State, s.Reason = Cancelling, reason
		return []Fact{CancelStarted}
	case Dispatched, Delivered:
		return []Fact{CancelRefusedDispatched}
	default:
		return nil
	}
}

// OrderCancelled makes a shipment that still waits forget the order. Everyone knows already, so it says nothing.
func (s *Shipment) OrderCancelled(reason string) []Fact {
	if s.State == Waiting {
		s.cancel(reason)
	}
	return nil
}

// CancellationGranted is the carrier's word that the parcel will not leave.
func (s *Shipment) CancellationGranted() []Fact {
	if !s.ShouldCancel() {
		return nil
	}
	s.cancel(s.Reason)
	return []Fact{ShipmentCancelled}
}

// HandedOver is the carrier's word that it has the parcel, whether as a notice or as its refusal to cancel. It is
// proof: it also ends a booking whose answer has not arrived.
func (s *Shipment) Dispatched(parcelID, tracking string) []Fact {
	var facts []Fact
	switch s.State {
	case Booking, Booked:
		facts = []Fact{ParcelDispatched}
	case BookingCancel, Cancelling:
		facts = []Fact{ParcelDispatched, CancelRefusedDispatched}
	default:
		return nil
	}
	s.State, s.ParcelID, s.Tracking, s.Reason = Dispatched, parcelID, tracking, ""
	s.forgetAddress()
	return facts
}

// Arrived is the carrier's notice that the customer has the parcel. It may overtake the one about the hand-over,
// and then says both.
func (s *Shipment) Delivered(parcelID, tracking string) []Fact {
	facts := s.Dispatched(parcelID, tracking)
	if s.State != Dispatched {
		return nil
	}
	s.State = Delivered
	return append(facts, ParcelDelivered)
}

// BookingWanted says whether the carrier should still be asked to take the parcel. A cancellation does not end
// that: the booking may already be under way, so it is brought to its end and then cancelled.
func (s *Shipment) ShouldBook() bool { return s.State == Booking || s.State == BookingCancel }

// CancelWanted says whether the carrier should still be asked to cancel.
func (s *Shipment) ShouldCancel() bool { return s.State == Cancelling }

func (s *Shipment) cancel(reason string) {
	s.State, s.Reason = Cancelled, reason
	s.forgetAddress()
}

func (s *Shipment) forgetAddress() { s.Address = nil }
