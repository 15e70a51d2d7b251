package order

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
)

// step is one thing that happens to an order.
type step struct {
	name string
	do   func(*Order) []contracts.ETO
}

// event returns the step that applies a rule to an event.
func event[T contracts.ETO](name string, rule func(*Order, T) []contracts.ETO, e T) step {
	return step{name, func(o *Order) []contracts.ETO { return rule(o, e) }}
}

var (
	reserved         = event("reserved", (*Order).InventoryReserved, contracts.InventoryReserved{})
	short            = event("short", (*Order).InventoryReservationFailed, contracts.InventoryReservationFailed{})
	processed        = event("processed", (*Order).PaymentProcessed, contracts.PaymentProcessed{})
	declined         = event("declined", (*Order).PaymentFailed, contracts.PaymentFailed{})
	refundedCustomer = event("refunded", (*Order).PaymentRefunded, contracts.PaymentRefunded{Reason: "customer"})
	refundedAddress  = event("refunded", (*Order).PaymentRefunded, contracts.PaymentRefunded{Reason: "undeliverable"})
	voidedCustomer   = event("voided", (*Order).PaymentVoided, contracts.PaymentVoided{Reason: "customer"})
	voidedDeadline   = event("voided", (*Order).PaymentVoided, contracts.PaymentVoided{Reason: "deadline"})
	voidedUnknown    = event("voided", (*Order).PaymentVoided, contracts.PaymentVoided{})
	booked           = event("booked", (*Order).ShipmentCreated, contracts.ShipmentCreated{ShipmentID: "shp_1"})
	dispatched       = event("dispatched", (*Order).ShipmentDispatched, contracts.ShipmentDispatched{ShipmentID: "shp_1"})
	delivered        = event("delivered", (*Order).ShipmentDelivered, contracts.ShipmentDelivered{ShipmentID: "shp_1"})
	undeliverable    = event("undeliverable", (*Order).ShipmentFailed, contracts.ShipmentFailed{})
	refusedLeft      = event("refused: dispatched", (*Order).ShipmentCancelRefused, contracts.ShipmentCancelRefused{Because: "dispatched"})
	refusedAsPaid    = event("refused: paid", (*Order).ShipmentCancelRefused, contracts.ShipmentCancelRefused{Because: "paid"})
	deadline         = event("deadline", (*Order).OrderPaymentDeadlinePassed, contracts.OrderPaymentDeadlinePassed{})
	cancel           = step{"cancel", func(o *Order) []contracts.ETO { etos, _ := o.Cancel(); return etos }}
)

// Names of published events. A requested cancellation is named with its reason.
const (
	orderCreated            = "order.created.v1"
	deadlineScheduled       = "order.payment_deadline_passed.v1"
	customerCancelRequested = "order.cancel_requested.v1 customer"
	deadlineCancelRequested = "order.cancel_requested.v1 deadline"
	orderConfirmed          = "order.confirmed.v1"
	orderCompleted          = "order.completed.v1"
	orderCancelled          = "order.cancelled.v1"
)

func typesOf(etos []contracts.ETO) []string {
	var types []string
	for _, eto := range etos {
		name := eto.EventType()
		if requested, ok := eto.(contracts.OrderCancelRequested); ok {
			name += " " + requested.Reason
		}
		types = append(types, name)
	}
	return types
}

// run takes a new order through steps and returns the names of all events that it published.
func run(steps ...step) (Order, []string) {
	var o Order
	var published []string
	for _, s := range steps {
		published = append(published, typesOf(s.do(&o))...)
	}
	return o, published
}

// before is how an order comes to each state.
var before = map[State][]step{
	Pending:    nil,
	Reserved:   {reserved},
	Paid:       {reserved, processed},
	Shipped:    {reserved, processed, dispatched},
	Completed:  {reserved, processed, dispatched, delivered},
	Cancelling: {cancel},
	Cancelled:  {short},
}

func TestOrder_Place(t *testing.T) {
	t.Parallel()
	var o Order
	if diff := cmp.Diff([]string{orderCreated, deadlineScheduled}, typesOf(o.Place())); diff != "" {
		t.Error(diff)
	}
	if o.State() != Pending {
		t.Errorf("state = %s, want pending", o.State())
	}
}

// cell is the state after an event, and the events that are published then.
type cell struct {
	to        State
	published []string
}

func same(s State) cell { return cell{to: s} }

// ends is the row of an event that cancels the order.
func ends() map[State]cell {
	row := map[State]cell{Completed: same(Completed), Cancelled: same(Cancelled)}
	for _, from := range []State{Pending, Reserved, Paid, Shipped, Cancelling} {
		row[from] = cell{Cancelled, []string{orderCancelled}}
	}
	return row
}

// TestOrder_Rules is the order's part of the choreography's table, every event in every state.
func TestOrder_Rules(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		on    step
		cells map[State]cell
	}{
		{reserved, map[State]cell{
			Pending: same(Reserved), Reserved: same(Reserved), Paid: same(Paid), Shipped: same(Shipped),
			Completed: same(Completed), Cancelling: same(Cancelling), Cancelled: same(Cancelled),
		}},
		{processed, map[State]cell{
			Pending: {Paid, []string{orderConfirmed}}, Reserved: {Paid, []string{orderConfirmed}}, Paid: same(Paid),
			Shipped: same(Shipped), Completed: same(Completed), Cancelling: same(Cancelling), Cancelled: same(Cancelled),
		}},
		{dispatched, map[State]cell{
			Pending: {Shipped, []string{orderConfirmed}}, Reserved: {Shipped, []string{orderConfirmed}}, Paid: same(Shipped),
			Shipped: same(Shipped), Completed: same(Completed), Cancelling: {Shipped, []string{orderConfirmed}},
			Cancelled: same(Cancelled),
		}},
		{delivered, map[State]cell{
			Pending: {Completed, []string{orderConfirmed, orderCompleted}}, Reserved: {Completed, []string{orderConfirmed, orderCompleted}},
			Paid: {Completed, []string{orderCompleted}}, Shipped: {Completed, []string{orderCompleted}}, Completed: same(Completed),
			Cancelling: {Completed, []string{orderConfirmed, orderCompleted}}, Cancelled: same(Cancelled),
		}},
		{undeliverable, map[State]cell{
			Pending: same(Cancelling), Reserved: same(Cancelling), Paid: same(Cancelling), Shipped: same(Shipped),
			Completed: same(Completed), Cancelling: same(Cancelling), Cancelled: same(Cancelled),
		}},
		{short, ends()},
		{declined, ends()},
		{refundedCustomer, ends()},
		{voidedCustomer, ends()},
		{refusedLeft, map[State]cell{
			Pending: {Shipped, []string{orderConfirmed}}, Reserved: {Shipped, []string{orderConfirmed}}, Paid: same(Shipped),
			Shipped: same(Shipped), Completed: same(Completed), Cancelling: {Shipped, []string{orderConfirmed}},
			Cancelled: same(Cancelled),
		}},
		{refusedAsPaid, map[State]cell{
			Pending: {Paid, []string{orderConfirmed}}, Reserved: {Paid, []string{orderConfirmed}}, Paid: same(Paid),
			Shipped: same(Shipped), Completed: same(Completed), Cancelled: same(Cancelled),
			// The refusal is about the deadline's request, not the customer's.
			Cancelling: same(Cancelling),
		}},
		{deadline, map[State]cell{
			Pending: {Cancelling, []string{deadlineCancelRequested}}, Reserved: {Cancelling, []string{deadlineCancelRequested}},
			Paid: same(Paid), Shipped: same(Shipped), Completed: same(Completed), Cancelling: same(Cancelling),
			Cancelled: same(Cancelled),
		}},
		{cancel, map[State]cell{
			Pending: {Cancelling, []string{customerCancelRequested}}, Reserved: {Cancelling, []string{customerCancelRequested}},
			Paid: {Cancelling, []string{customerCancelRequested}}, Shipped: same(Shipped), Completed: same(Completed),
			Cancelling: same(Cancelling), Cancelled: same(Cancelled),
		}},
	} {
		for _, from := range States {
			t.Run(fmt.Sprintf("%s on %s", from, row.on.name), func(t *testing.T) {
				t.Parallel()
				want, listed := row.cells[from]
				if !listed {
					t.Fatal("the test lists no cell for this")
				}
				o, _ := run(before[from]...)
				if o.State() != from {
					t.Fatalf("set-up reached %s", o.State())
				}
				published := typesOf(row.on.do(&o))
				if o.State() != want.to {
					t.Errorf("state = %s, want %s", o.State(), want.to)
				}
				if diff := cmp.Diff(want.published, published); diff != "" {
					t.Errorf("published (-want +got):\n%s", diff)
				}
				if published := typesOf(row.on.do(&o)); len(published) > 0 {
					t.Errorf("the second time it published %v", published)
				}
				if o.State() != want.to {
					t.Errorf("the second time: state = %s, want %s", o.State(), want.to)
				}
			})
		}
	}
}

func TestOrder_CancelTooLate(t *testing.T) {
	t.Parallel()
	for state, because := range map[State]string{Shipped: "dispatched", Completed: "delivered"} {
		o, _ := run(before[state]...)
		_, err := o.Cancel()
		var late *TooLateError
		if !errors.As(err, &late) || late.Because != because {
			t.Errorf("%s: error = %v, want too late because %s", state, err, because)
		}
	}
	for _, state := range []State{Pending, Reserved, Paid, Cancelling, Cancelled} {
		o, _ := run(before[state]...)
		if _, err := o.Cancel(); err != nil {
			t.Errorf("%s: %v", state, err)
		}
	}
}

func TestOrder_ConfirmsOnce(t *testing.T) {
	t.Parallel()
	_, published := run(deadline, processed, refusedAsPaid, undeliverable, dispatched, delivered)
	if diff := cmp.Diff([]string{deadlineCancelRequested, orderConfirmed, orderCompleted}, published); diff != "" {
		t.Error(diff)
	}
}

func TestOrder_DeadlineLapsesOncePaid(t *testing.T) {
	t.Parallel()
	o, published := run(reserved, deadline, refusedAsPaid)
	if o.State() != Paid || o.Observed.DeadlineAsked {
		t.Errorf("state = %s, deadline asked = %t; want paid, false", o.State(), o.Observed.DeadlineAsked)
	}
	if diff := cmp.Diff([]string{deadlineCancelRequested, orderConfirmed}, published); diff != "" {
		t.Error(diff)
	}
}

func TestOrder_CancelWaitsForDeadlineRequest(t *testing.T) {
	t.Parallel()
	o, published := run(reserved, deadline, cancel)
	if diff := cmp.Diff([]string{deadlineCancelRequested}, published); diff != "" {
		t.Errorf("while the deadline's request is open:\n%s", diff)
	}
	if diff := cmp.Diff([]string{customerCancelRequested}, typesOf(refusedAsPaid.do(&o))); diff != "" {
		t.Errorf("on the refusal:\n%s", diff)
	}
	if published := typesOf(refusedAsPaid.do(&o)); o.State() != Cancelling || len(published) > 0 {
		t.Errorf("on the refusal's duplicate: state = %s, published %v; want cancelling and nothing", o.State(), published)
	}
	if refundedCustomer.do(&o); o.State() != Cancelled || o.Why() != ByCustomer {
		t.Errorf("at the end: %s, %s", o.State(), o.Why())
	}
}

func TestOrder_Why(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		steps []step
		want  Reason
	}{
		{[]step{reserved, processed}, ""},
		{[]step{reserved, cancel}, ByCustomer},
		{[]step{reserved, cancel, voidedCustomer}, ByCustomer},
		{[]step{reserved, deadline}, ByDeadline},
		{[]step{reserved, deadline, voidedDeadline}, ByDeadline},
		{[]step{reserved, processed, undeliverable}, Undeliverable},
		{[]step{reserved, processed, undeliverable, refundedAddress}, Undeliverable},
		{[]step{short}, OutOfStock},
		{[]step{reserved, declined}, CardDeclined},
		{[]step{cancel, dispatched}, ""},
		{[]step{short, voidedCustomer}, OutOfStock}, // the first end stands
	} {
		if o, _ := run(c.steps...); o.Why() != c.want {
			t.Errorf("%v: reason %q, want %q", names(c.steps), o.Why(), c.want)
		}
	}
}

// TestOrder_EndIndependentOfEventOrder takes the events of every story through all their permutations, with one of them
// doubled at every place. What the order itself does (cancel, deadline) comes first: the other services react to it.
func TestOrder_EndIndependentOfEventOrder(t *testing.T) {
	t.Parallel()
	for _, story := range []struct {
		name   string
		starts []step
		events []step
		end    State
		why    Reason
	}{
		{"delivered", nil, []step{reserved, processed, dispatched, delivered}, Completed, ""},
		{"out of stock", nil, []step{short}, Cancelled, OutOfStock},
		{"declined", nil, []step{reserved, declined}, Cancelled, CardDeclined},
		{"undeliverable", nil, []step{reserved, processed, undeliverable, refundedAddress}, Cancelled, Undeliverable},
		{"cancelled before the charge", []step{cancel}, []step{reserved, voidedCustomer}, Cancelled, ByCustomer},
		{"cancelled after the charge", []step{cancel}, []step{reserved, processed, refundedCustomer}, Cancelled, ByCustomer},
		{"cancelled too late", []step{cancel}, []step{reserved, processed, dispatched, refusedLeft, delivered}, Completed, ""},
		{"deadline", []step{deadline}, []step{reserved, voidedDeadline}, Cancelled, ByDeadline},
		{"deadline, but paid", []step{deadline}, []step{reserved, processed, refusedAsPaid, dispatched, delivered}, Completed, ""},
		{"deadline, but paid, not shipped yet", []step{deadline}, []step{reserved, processed, refusedAsPaid}, Paid, ""},
		{"deadline and customer", []step{deadline, cancel}, []step{reserved, processed, refusedAsPaid, refundedCustomer}, Cancelled, ByCustomer},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			for doubled := range story.events {
				permute(append(append([]step{}, story.events...), story.events[doubled]), func(order []step) {
					o, published := run(append(append([]step{}, story.starts...), order...)...)
					if o.State() != story.end || o.Why() != story.why {
						t.Errorf("%v: ends %s %q, want %s %q", names(order), o.State(), o.Why(), story.end, story.why)
					}
					seen := map[string]int{}
					for _, f := range published {
						if seen[f]++; seen[f] > 1 {
							t.Errorf("%v: published %q twice", names(order), f)
						}
					}
					if (seen[orderCompleted] == 1) != (story.end == Completed) || (seen[orderCancelled] == 1) != (story.end == Cancelled) {
						t.Errorf("%v: ends %s, published %v", names(order), o.State(), published)
					}
					if story.end == Completed && seen[orderConfirmed] != 1 {
						t.Errorf("%v: completed without being confirmed", names(order))
					}
				})
			}
		})
	}
}

// permute calls visit with every order of steps.
func permute(steps []step, visit func([]step)) {
	var place func(n int)
	place = func(n int) {
		if n == len(steps) {
			visit(steps)
			return
		}
		for i := n; i < len(steps); i++ {
			steps[n], steps[i] = steps[i], steps[n]
			place(n + 1)
			steps[n], steps[i] = steps[i], steps[n]
		}
	}
	place(0)
}

func names(steps []step) []string {
	var n []string
	for _, s := range steps {
		n = append(n, s.name)
	}
	return n
}

func TestOrder_OverdueIsPublishedOnce(t *testing.T) {
	t.Parallel()
	for _, state := range States {
		o, _ := run(before[state]...)
		published, again := o.Overdue(), o.Overdue()
		if want := state != Completed && state != Cancelled; (len(published) == 1) != want || len(again) != 0 || o.State() != state {
			t.Errorf("%s: published %v, then %v, and is %s", state, published, again, o.State())
		}
	}
}
