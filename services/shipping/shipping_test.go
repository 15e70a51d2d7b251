package shipping

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	home  = Address{Name: "Ada", Street: "Ball Street 1", City: "Vienna", PostalCode: "1010", Country: "AT"}
	goods = []Item{{SKU: "fan", Quantity: 2}}
)

// stimuli are all facts that a shipment can be told.
var stimuli = map[string]func(*Shipment) []Fact{
	"order.created":      func(s *Shipment) []Fact { return s.OrderCreated(home, goods) },
	"payment.processed":  (*Shipment).PaymentProcessed,
	"booked":             func(s *Shipment) []Fact { return s.BookingAccepted("shp_1") },
	"undeliverable":      func(s *Shipment) []Fact { return s.BookingRejected("no such place") },
	"customer cancels":   func(s *Shipment) []Fact { return s.CancelRequested("customer") },
	"deadline cancels":   func(s *Shipment) []Fact { return s.CancelRequested("deadline") },
	"order.cancelled":    func(s *Shipment) []Fact { return s.OrderCancelled("out_of_stock") },
	"carrier cancelled":  (*Shipment).CancellationGranted,
	"handed over notice": func(s *Shipment) []Fact { return s.Dispatched("shp_1", "QD1") },
	"delivered notice":   func(s *Shipment) []Fact { return s.Delivered("shp_1", "QD1") },
}

// situations are all that a shipment can be in; waiting has three.
var situations = map[string]Shipment{
	"waiting":             {State: Waiting},
	"waiting for payment": {State: Waiting, OrderSeen: true, Address: &home, Items: goods},
	"waiting for order":   {State: Waiting, PaymentSeen: true},
	"booking":             {State: Booking, OrderSeen: true, PaymentSeen: true, Address: &home, Items: goods},
	"booking+cancel":      {State: BookingCancel, OrderSeen: true, PaymentSeen: true, Address: &home, Items: goods, Reason: "customer"},
	"booked":              {State: Booked, OrderSeen: true, PaymentSeen: true, Address: &home, Items: goods, ParcelID: "shp_1"},
	"cancelling":          {State: Cancelling, OrderSeen: true, PaymentSeen: true, Address: &home, Items: goods, ParcelID: "shp_1", Reason: "customer"},
	"dispatched":          {State: Dispatched, OrderSeen: true, PaymentSeen: true, Items: goods, ParcelID: "shp_1", Tracking: "QD1"},
	"delivered":           {State: Delivered, OrderSeen: true, PaymentSeen: true, Items: goods, ParcelID: "shp_1", Tracking: "QD1"},
	"failed":              {State: Failed, OrderSeen: true, PaymentSeen: true, Items: goods, Detail: "no such place"},
	"cancelled":           {State: Cancelled, OrderSeen: true, PaymentSeen: true, Items: goods, ParcelID: "shp_1", Reason: "customer"},

	// The tombstones: what was seen before differs, and why.
	"tombstone by customer":             {State: Cancelled, Reason: "customer"},
	"tombstone by customer, order seen": {State: Cancelled, OrderSeen: true, Items: goods, Reason: "customer"},
	"tombstone by customer, paid":       {State: Cancelled, PaymentSeen: true, Reason: "customer"},
	"tombstone by deadline":             {State: Cancelled, Reason: "deadline"},
	"tombstone by deadline, order seen": {State: Cancelled, OrderSeen: true, Items: goods, Reason: "deadline"},
	"tombstone by order":                {State: Cancelled, Reason: "out_of_stock"},
	"tombstone by order, order seen":    {State: Cancelled, OrderSeen: true, Items: goods, Reason: "out_of_stock"},
	"tombstone by order, paid":          {State: Cancelled, PaymentSeen: true, Reason: "out_of_stock"},
	"failed after cancel":               {State: Failed, OrderSeen: true, PaymentSeen: true, Items: goods, Detail: "no such place", Reason: "customer"},
}

// step is a cell of the table.
type step struct{ in, on string }

// result is where a cell leads, and what it tells.
type result struct {
	situation string
	tells     []Fact
}

// table is shipping's part of the choreography. A cell that is not here ignores the fact.
var table = map[step]result{
	{"waiting", "order.created"}:                 {"waiting for payment", nil},
	{"waiting", "payment.processed"}:             {"waiting for order", nil},
	{"waiting for payment", "payment.processed"}: {"booking", []Fact{BookingStarted}},
	{"waiting for order", "order.created"}:       {"booking", []Fact{BookingStarted}},

	{"waiting", "customer cancels"}:             {"tombstone by customer", []Fact{ShipmentCancelled}},
	{"waiting for payment", "customer cancels"}: {"tombstone by customer, order seen", []Fact{ShipmentCancelled}},
	{"waiting for order", "customer cancels"}:   {"tombstone by customer, paid", []Fact{ShipmentCancelled}},
	{"waiting", "deadline cancels"}:             {"tombstone by deadline", []Fact{ShipmentCancelled}},
	{"waiting for payment", "deadline cancels"}: {"tombstone by deadline, order seen", []Fact{ShipmentCancelled}},
	{"waiting for order", "deadline cancels"}:   {"waiting for order", []Fact{CancelRefusedPaid}},
	{"waiting", "order.cancelled"}:              {"tombstone by order", nil},
	{"waiting for payment", "order.cancelled"}:  {"tombstone by order, order seen", nil},
	{"waiting for order", "order.cancelled"}:    {"tombstone by order, paid", nil},

	{"booking", "booked"}:               {"booked", []Fact{ParcelBooked}},
	{"booking", "undeliverable"}:        {"failed", []Fact{ParcelUndeliverable}},
	{"booking", "customer cancels"}:     {"booking+cancel", nil},
	{"booking", "deadline cancels"}:     {"booking", []Fact{CancelRefusedPaid}},
	{"booking+cancel", "booked"}:        {"cancelling", []Fact{CancelStarted}},
	{"booking+cancel", "undeliverable"}: {"failed after cancel", []Fact{ParcelUndeliverable}},
	{"booked", "customer cancels"}:      {"cancelling", []Fact{CancelStarted}},
	{"booked", "deadline cancels"}:      {"booked", []Fact{CancelRefusedPaid}},
	{"cancelling", "carrier cancelled"}: {"cancelled", []Fact{ShipmentCancelled}},
	{"dispatched", "customer cancels"}:  {"dispatched", []Fact{CancelRefusedDispatched}},
	{"dispatched", "deadline cancels"}:  {"dispatched", []Fact{CancelRefusedDispatched}},
	{"delivered", "customer cancels"}:   {"delivered", []Fact{CancelRefusedDispatched}},
	{"delivered", "deadline cancels"}:   {"delivered", []Fact{CancelRefusedDispatched}},

	// "Handed over" is the carrier's notice, and also its refusal to cancel.
	{"booking", "handed over notice"}:        {"dispatched", []Fact{ParcelDispatched}},
	{"booked", "handed over notice"}:         {"dispatched", []Fact{ParcelDispatched}},
	{"booking+cancel", "handed over notice"}: {"dispatched", []Fact{ParcelDispatched, CancelRefusedDispatched}},
	{"cancelling", "handed over notice"}:     {"dispatched", []Fact{ParcelDispatched, CancelRefusedDispatched}},

	{"booking", "delivered notice"}:        {"delivered", []Fact{ParcelDispatched, ParcelDelivered}},
	{"booked", "delivered notice"}:         {"delivered", []Fact{ParcelDispatched, ParcelDelivered}},
	{"booking+cancel", "delivered notice"}: {"delivered", []Fact{ParcelDispatched, CancelRefusedDispatched, ParcelDelivered}},
	{"cancelling", "delivered notice"}:     {"delivered", []Fact{ParcelDispatched, CancelRefusedDispatched, ParcelDelivered}},
	{"dispatched", "delivered notice"}:     {"delivered", []Fact{ParcelDelivered}},
}

func TestRules_FollowTheTable(t *testing.T) {
	t.Parallel()
	for situation, before := range situations {
		for stimulus, rule := range stimuli {
			cell, listed := table[step{situation, stimulus}]
			if !listed {
				cell = result{situation: situation}
			}
			t.Run(situation+" on "+stimulus, func(t *testing.T) {
				t.Parallel()
				after := before
				tells := rule(&after)
				if diff := cmp.Diff(situations[cell.situation], after); diff != "" {
					t.Errorf("shipment (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(cell.tells, tells); diff != "" {
					t.Errorf("facts (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// Whatever the order of the events, however often each comes and whenever the carrier moves: what the carrier has
// handed over is told as dispatched and never as cancelled, and the other way round.
func TestRules_AgreeWithTheCarrierInAnyOrder(t *testing.T) {
	t.Parallel()
	type parcel struct{ booked, left, cancelled, arrived bool }
	endings := map[State]int{}
	var walk func(s Shipment, c parcel, left []string, told []Fact)
	walk = func(s Shipment, c parcel, left []string, told []Fact) {
		moved := false
		move := func(c parcel, left []string, rule func(*Shipment) []Fact) {
			moved = true
			next := s
			facts := rule(&next)
			walk(next, c, left, slices.Concat(told, facts))
		}
		for i, stimulus := range left {
			move(c, slices.Delete(slices.Clone(left), i, i+1), stimuli[stimulus])
		}
		quiet := func(*Shipment) []Fact { return nil }
		if s.ShouldBook() && slices.Contains(told, BookingStarted) {
			if c.booked {
				move(c, left, stimuli["booked"])
			} else {
				move(parcel{booked: true}, left, quiet) // and the answer is still on its way
			}
		}
		if c.booked && !c.left && !c.cancelled {
			on := c
			on.left = true
			move(on, append(slices.Clone(left), "handed over notice"), quiet)
		}
		if c.left && !c.arrived {
			on := c
			on.arrived = true
			move(on, append(slices.Clone(left), "delivered notice"), quiet)
		}
		if s.ShouldCancel() && slices.Contains(told, CancelStarted) {
			on := c
			on.cancelled = !c.left
			if on.cancelled {
				move(on, left, stimuli["carrier cancelled"])
			} else {
				move(on, left, stimuli["handed over notice"])
			}
		}
		if moved {
			return
		}
		endings[s.State]++
		count := func(f Fact) (n int) {
			for _, t := range told {
				if t == f {
					n++
				}
			}
			return n
		}
		want := Cancelled
		if c.left {
			want = Delivered
		}
		if s.State != want || s.Address != nil || count(ParcelDispatched)+count(ShipmentCancelled) != 1 {
			t.Fatalf("carrier %+v, shipment %+v, told %v", c, s, told)
		}
	}
	walk(NewShipment("o"), parcel{}, []string{"order.created", "order.created", "payment.processed", "customer cancels"}, nil)
	if endings[Cancelled] == 0 || endings[Delivered] == 0 {
		t.Fatalf("endings %v", endings)
	}
}
