package shipping

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
)

var (
	home  = Address{Name: "Ada", Street: "Ball Street 1", City: "Vienna", PostalCode: "1010", Country: "AT"}
	goods = []Item{{SKU: "fan", Quantity: 2}}
)

// rules are all rules of a shipment, by the event, result or webhook that they handle.
var rules = map[string]func(*Shipment) []contracts.ETO{
	"order.created": func(s *Shipment) []contracts.ETO {
		return s.OrderCreated(contracts.OrderCreated{
			ShippingAddress: contracts.Address(home), Items: []contracts.Item{{SKU: "fan", Quantity: 2}},
		})
	},
	"payment.processed": func(s *Shipment) []contracts.ETO { return s.PaymentProcessed(contracts.PaymentProcessed{}) },
	"booking accepted":  func(s *Shipment) []contracts.ETO { return s.BookingAccepted("shp_1") },
	"booking rejected":  func(s *Shipment) []contracts.ETO { return s.BookingRejected("no such place") },
	"customer cancels": func(s *Shipment) []contracts.ETO {
		return s.OrderCancelRequested(contracts.OrderCancelRequested{Reason: "customer"})
	},
	"deadline cancels": func(s *Shipment) []contracts.ETO {
		return s.OrderCancelRequested(contracts.OrderCancelRequested{Reason: "deadline"})
	},
	"order.cancelled": func(s *Shipment) []contracts.ETO {
		return s.OrderCancelled(contracts.OrderCancelled{Reason: "out_of_stock"})
	},
	"carrier cancelled":  (*Shipment).CancellationGranted,
	"dispatched webhook": func(s *Shipment) []contracts.ETO { return s.Dispatched("shp_1", "QD1") },
	"delivered webhook":  func(s *Shipment) []contracts.ETO { return s.Delivered("shp_1", "QD1") },
}

// situations are all that a shipment can be in; waiting has three.
var situations = map[string]Shipment{
	"waiting":             {State: Waiting},
	"waiting for payment": {State: Waiting, OrderReceived: true, Address: &home, Items: goods},
	"waiting for order":   {State: Waiting, Paid: true},
	"booking":             {State: Booking, OrderReceived: true, Paid: true, Address: &home, Items: goods},
	"booking+cancel":      {State: BookingCancel, OrderReceived: true, Paid: true, Address: &home, Items: goods, Reason: "customer"},
	"booked":              {State: Booked, OrderReceived: true, Paid: true, Address: &home, Items: goods, ParcelID: "shp_1"},
	"cancelling":          {State: Cancelling, OrderReceived: true, Paid: true, Address: &home, Items: goods, ParcelID: "shp_1", Reason: "customer"},
	"dispatched":          {State: Dispatched, OrderReceived: true, Paid: true, Items: goods, ParcelID: "shp_1", Tracking: "QD1"},
	"delivered":           {State: Delivered, OrderReceived: true, Paid: true, Items: goods, ParcelID: "shp_1", Tracking: "QD1"},
	"failed":              {State: Failed, OrderReceived: true, Paid: true, Items: goods, Detail: "no such place"},
	"cancelled":           {State: Cancelled, OrderReceived: true, Paid: true, Items: goods, ParcelID: "shp_1", Reason: "customer"},

	// The tombstones: what was seen before differs, and why.
	"tombstone by customer":             {State: Cancelled, Reason: "customer"},
	"tombstone by customer, order seen": {State: Cancelled, OrderReceived: true, Items: goods, Reason: "customer"},
	"tombstone by customer, paid":       {State: Cancelled, Paid: true, Reason: "customer"},
	"tombstone by deadline":             {State: Cancelled, Reason: "deadline"},
	"tombstone by deadline, order seen": {State: Cancelled, OrderReceived: true, Items: goods, Reason: "deadline"},
	"tombstone by order":                {State: Cancelled, Reason: "out_of_stock"},
	"tombstone by order, order seen":    {State: Cancelled, OrderReceived: true, Items: goods, Reason: "out_of_stock"},
	"tombstone by order, paid":          {State: Cancelled, Paid: true, Reason: "out_of_stock"},
	"failed after cancel":               {State: Failed, OrderReceived: true, Paid: true, Items: goods, Detail: "no such place", Reason: "customer"},
}

// step is a cell of the table.
type step struct{ in, on string }

// result is the situation after the rule, and the types of the events that it returns. A refused cancellation is named
// with the fact that made it too late.
type result struct {
	situation string
	events    []string
}

const (
	shipmentBookingRequested      = "shipment.booking_requested.v1"
	shipmentCancellationRequested = "shipment.cancellation_requested.v1"
	shipmentCreated               = "shipment.created.v1"
	shipmentDispatched            = "shipment.dispatched.v1"
	shipmentDelivered             = "shipment.delivered.v1"
	shipmentFailed                = "shipment.failed.v1"
	shipmentCancelled             = "shipment.cancelled.v1"
	cancelRefusedPaid             = "shipment.cancel_refused.v1 paid"
	cancelRefusedDispatched       = "shipment.cancel_refused.v1 dispatched"
)

func typesOf(etos []contracts.ETO) []string {
	var types []string
	for _, eto := range etos {
		name := eto.EventType()
		if refused, ok := eto.(contracts.ShipmentCancelRefused); ok {
			name += " " + refused.Because
		}
		types = append(types, name)
	}
	return types
}

// table is shipping's part of the choreography. A cell that is missing is a no-op.
var table = map[step]result{
	{"waiting", "order.created"}:                 {"waiting for payment", nil},
	{"waiting", "payment.processed"}:             {"waiting for order", nil},
	{"waiting for payment", "payment.processed"}: {"booking", []string{shipmentBookingRequested}},
	{"waiting for order", "order.created"}:       {"booking", []string{shipmentBookingRequested}},

	{"waiting", "customer cancels"}:             {"tombstone by customer", []string{shipmentCancelled}},
	{"waiting for payment", "customer cancels"}: {"tombstone by customer, order seen", []string{shipmentCancelled}},
	{"waiting for order", "customer cancels"}:   {"tombstone by customer, paid", []string{shipmentCancelled}},
	{"waiting", "deadline cancels"}:             {"tombstone by deadline", []string{shipmentCancelled}},
	{"waiting for payment", "deadline cancels"}: {"tombstone by deadline, order seen", []string{shipmentCancelled}},
	{"waiting for order", "deadline cancels"}:   {"waiting for order", []string{cancelRefusedPaid}},
	{"waiting", "order.cancelled"}:              {"tombstone by order", nil},
	{"waiting for payment", "order.cancelled"}:  {"tombstone by order, order seen", nil},
	{"waiting for order", "order.cancelled"}:    {"tombstone by order, paid", nil},

	{"booking", "booking accepted"}:        {"booked", []string{shipmentCreated}},
	{"booking", "booking rejected"}:        {"failed", []string{shipmentFailed}},
	{"booking", "customer cancels"}:        {"booking+cancel", nil},
	{"booking", "deadline cancels"}:        {"booking", []string{cancelRefusedPaid}},
	{"booking+cancel", "booking accepted"}: {"cancelling", []string{shipmentCancellationRequested}},
	{"booking+cancel", "booking rejected"}: {"failed after cancel", []string{shipmentFailed}},
	{"booked", "customer cancels"}:         {"cancelling", []string{shipmentCancellationRequested}},
	{"booked", "deadline cancels"}:         {"booked", []string{cancelRefusedPaid}},
	{"cancelling", "carrier cancelled"}:    {"cancelled", []string{shipmentCancelled}},
	{"dispatched", "customer cancels"}:     {"dispatched", []string{cancelRefusedDispatched}},
	{"dispatched", "deadline cancels"}:     {"dispatched", []string{cancelRefusedDispatched}},
	{"delivered", "customer cancels"}:      {"delivered", []string{cancelRefusedDispatched}},
	{"delivered", "deadline cancels"}:      {"delivered", []string{cancelRefusedDispatched}},

	// The carrier reports the dispatch by its webhook, and also by its refusal to cancel.
	{"booking", "dispatched webhook"}:        {"dispatched", []string{shipmentDispatched}},
	{"booked", "dispatched webhook"}:         {"dispatched", []string{shipmentDispatched}},
	{"booking+cancel", "dispatched webhook"}: {"dispatched", []string{shipmentDispatched, cancelRefusedDispatched}},
	{"cancelling", "dispatched webhook"}:     {"dispatched", []string{shipmentDispatched, cancelRefusedDispatched}},

	{"booking", "delivered webhook"}:        {"delivered", []string{shipmentDispatched, shipmentDelivered}},
	{"booked", "delivered webhook"}:         {"delivered", []string{shipmentDispatched, shipmentDelivered}},
	{"booking+cancel", "delivered webhook"}: {"delivered", []string{shipmentDispatched, cancelRefusedDispatched, shipmentDelivered}},
	{"cancelling", "delivered webhook"}:     {"delivered", []string{shipmentDispatched, cancelRefusedDispatched, shipmentDelivered}},
	{"dispatched", "delivered webhook"}:     {"delivered", []string{shipmentDelivered}},
}

func TestShipment_Rules(t *testing.T) {
	t.Parallel()
	for situation, before := range situations {
		for stimulus, rule := range rules {
			cell, listed := table[step{situation, stimulus}]
			if !listed {
				cell = result{situation: situation}
			}
			t.Run(situation+" on "+stimulus, func(t *testing.T) {
				t.Parallel()
				after := before
				etos := rule(&after)
				if diff := cmp.Diff(situations[cell.situation], after); diff != "" {
					t.Errorf("shipment (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(cell.events, typesOf(etos)); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// In whatever order the events arrive, however often each arrives and whenever the carrier acts: a parcel that has left is
// published as dispatched and never as cancelled, and the other way round.
func TestShipment_AgreesWithCarrier(t *testing.T) {
	t.Parallel()
	type parcel struct{ booked, left, cancelled, arrived bool }
	endings := map[State]int{}
	var walk func(s Shipment, c parcel, left []string, published []string)
	walk = func(s Shipment, c parcel, left []string, published []string) {
		moved := false
		move := func(c parcel, left []string, rule func(*Shipment) []contracts.ETO) {
			moved = true
			next := s
			facts := rule(&next)
			walk(next, c, left, slices.Concat(published, typesOf(facts)))
		}
		for i, stimulus := range left {
			move(c, slices.Delete(slices.Clone(left), i, i+1), rules[stimulus])
		}
		quiet := func(*Shipment) []contracts.ETO { return nil }
		if s.ShouldBook() && slices.Contains(published, shipmentBookingRequested) {
			if c.booked {
				move(c, left, rules["booking accepted"])
			} else {
				move(parcel{booked: true}, left, quiet) // and the response is still under way
			}
		}
		if c.booked && !c.left && !c.cancelled {
			on := c
			on.left = true
			move(on, append(slices.Clone(left), "dispatched webhook"), quiet)
		}
		if c.left && !c.arrived {
			on := c
			on.arrived = true
			move(on, append(slices.Clone(left), "delivered webhook"), quiet)
		}
		if s.ShouldCancel() && slices.Contains(published, shipmentCancellationRequested) {
			on := c
			on.cancelled = !c.left
			if on.cancelled {
				move(on, left, rules["carrier cancelled"])
			} else {
				move(on, left, rules["dispatched webhook"])
			}
		}
		if moved {
			return
		}
		endings[s.State]++
		count := func(f string) (n int) {
			for _, t := range published {
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
		if s.State != want || s.Address != nil || count(shipmentDispatched)+count(shipmentCancelled) != 1 {
			t.Fatalf("carrier %+v, shipment %+v, published %v", c, s, published)
		}
	}
	walk(NewShipment("o"), parcel{}, []string{"order.created", "order.created", "payment.processed", "customer cancels"}, nil)
	if endings[Cancelled] == 0 || endings[Delivered] == 0 {
		t.Fatalf("endings %v", endings)
	}
}
