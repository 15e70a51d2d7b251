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
	do   func(*Order) []Fact
}

var (
	reserved         = step{"reserved", (*Order).InventoryReserved}
	short            = step{"short", (*Order).InventoryReservationFailed}
	processed        = step{"processed", (*Order).PaymentProcessed}
	declined         = step{"declined", (*Order).PaymentFailed}
	refundedCustomer = step{"refunded", func(o *Order) []Fact { return o.PaymentRefunded(ByCustomer) }}
	refundedAddress  = step{"refunded", func(o *Order) []Fact { return o.PaymentRefunded(Undeliverable) }}
	voidedCustomer   = step{"voided", func(o *Order) []Fact { return o.PaymentVoided(ByCustomer) }}
	voidedDeadline   = step{"voided", func(o *Order) []Fact { return o.PaymentVoided(ByDeadline) }}
	dispatched       = step{"dispatched", (*Order).ShipmentDispatched}
	delivered        = step{"delivered", (*Order).ShipmentDelivered}
	undeliverable    = step{"undeliverable", (*Order).ShipmentFailed}
	refusedLeft      = step{"refused: dispatched", (*Order).CancelRefusedDispatched}
	refusedPaid      = step{"refused: paid", (*Order).CancelRefusedPaid}
	deadline         = step{"deadline", (*Order).DeadlinePassed}
	cancel           = step{"cancel", func(o *Order) []Fact { facts, _ := o.Cancel(); return facts }}
)

// run takes a new order through steps and answers all that it told.
func run(steps ...step) (Order, []Fact) {
	var o Order
	var told []Fact
	for _, s := range steps {
		told = append(told, s.do(&o)...)
	}
	return o, told
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

func TestPlace_AnnouncesTheOrderAndSetsItsDeadline(t *testing.T) {
	t.Parallel()
	var o Order
	if diff := cmp.Diff([]Fact{OrderCreated, DeadlineScheduled}, o.Place()); diff != "" {
		t.Error(diff)
	}
	if o.State() != Pending {
		t.Errorf("state = %s, want pending", o.State())
	}
}

// cell is where an event leads, and what is told then.
type cell struct {
	to   State
	told []Fact
}

func same(s State) cell { return cell{to: s} }

// ends is the row of an event that cancels the order.
func ends() map[State]cell {
	row := map[State]cell{Completed: same(Completed), Cancelled: same(Cancelled)}
	for _, from := range []State{Pending, Reserved, Paid, Shipped, Cancelling} {
		row[from] = cell{Cancelled, []Fact{OrderCancelled}}
	}
	return row
}

// TestTable is the order's part of the choreography's table, every event in every state.
func TestTable(t *testing.T) {
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
			Pending: {Paid, []Fact{OrderConfirmed}}, Reserved: {Paid, []Fact{OrderConfirmed}}, Paid: same(Paid),
			Shipped: same(Shipped), Completed: same(Completed), Cancelling: same(Cancelling), Cancelled: same(Cancelled),
		}},
		{dispatched, map[State]cell{
			Pending: {Shipped, []Fact{OrderConfirmed}}, Reserved: {Shipped, []Fact{OrderConfirmed}}, Paid: same(Shipped),
			Shipped: same(Shipped), Completed: same(Completed), Cancelling: {Shipped, []Fact{OrderConfirmed}},
			Cancelled: same(Cancelled),
		}},
		{delivered, map[State]cell{
			Pending: {Completed, []Fact{OrderConfirmed, OrderCompleted}}, Reserved: {Completed, []Fact{OrderConfirmed, OrderCompleted}},
			Paid: {Completed, []Fact{OrderCompleted}}, Shipped: {Completed, []Fact{OrderCompleted}}, Completed: same(Completed),
			Cancelling: {Completed, []Fact{OrderConfirmed, OrderCompleted}}, Cancelled: same(Cancelled),
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
			Pending: {Shipped, []Fact{OrderConfirmed}}, Reserved: {Shipped, []Fact{OrderConfirmed}}, Paid: same(Shipped),
			Shipped: same(Shipped), Completed: same(Completed), Cancelling: {Shipped, []Fact{OrderConfirmed}},
			Cancelled: same(Cancelled),
		}},
		{refusedPaid, map[State]cell{
			Pending: {Paid, []Fact{OrderConfirmed}}, Reserved: {Paid, []Fact{OrderConfirmed}}, Paid: same(Paid),
			Shipped: same(Shipped), Completed: same(Completed), Cancelled: same(Cancelled),
			// The customer's wish is not what is refused here.
			Cancelling: same(Cancelling),
		}},
		{deadline, map[State]cell{
			Pending: {Cancelling, []Fact{DeadlineCancelRequested}}, Reserved: {Cancelling, []Fact{DeadlineCancelRequested}},
			Paid: same(Paid), Shipped: same(Shipped), Completed: same(Completed), Cancelling: same(Cancelling),
			Cancelled: same(Cancelled),
		}},
		{cancel, map[State]cell{
			Pending: {Cancelling, []Fact{CustomerCancelRequested}}, Reserved: {Cancelling, []Fact{CustomerCancelRequested}},
			Paid: {Cancelling, []Fact{CustomerCancelRequested}}, Shipped: same(Shipped), Completed: same(Completed),
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
				told := row.on.do(&o)
				if o.State() != want.to {
					t.Errorf("state = %s, want %s", o.State(), want.to)
				}
				if diff := cmp.Diff(want.told, told); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				if told := row.on.do(&o); len(told) > 0 {
					t.Errorf("the second time it told %v", told)
				}
				if o.State() != want.to {
					t.Errorf("the second time: state = %s, want %s", o.State(), want.to)
				}
			})
		}
	}
}

func TestCancel_NamesTheFactThatMadeItTooLate(t *testing.T) {
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

func TestConfirmed_IsToldOnceThoughPaidIsEnteredTwice(t *testing.T) {
	t.Parallel()
	_, told := run(deadline, processed, refusedPaid, undeliverable, dispatched, delivered)
	if diff := cmp.Diff([]Fact{DeadlineCancelRequested, OrderConfirmed, OrderCompleted}, told); diff != "" {
		t.Error(diff)
	}
}

func TestDeadline_LapsesOncePaymentIsSeen(t *testing.T) {
	t.Parallel()
	o, told := run(reserved, deadline, refusedPaid)
	if o.State() != Paid || o.Observed.DeadlineAsked {
		t.Errorf("state = %s, deadline asked = %t; want paid, false", o.State(), o.Observed.DeadlineAsked)
	}
	if diff := cmp.Diff([]Fact{DeadlineCancelRequested, OrderConfirmed}, told); diff != "" {
		t.Error(diff)
	}
}

func TestCancel_WaitsForTheDeadlinesAnswerAndIsNotLost(t *testing.T) {
	t.Parallel()
	o, told := run(reserved, deadline, cancel)
	if diff := cmp.Diff([]Fact{DeadlineCancelRequested}, told); diff != "" {
		t.Errorf("while the deadline's request is open:\n%s", diff)
	}
	if diff := cmp.Diff([]Fact{CustomerCancelRequested}, refusedPaid.do(&o)); diff != "" {
		t.Errorf("on the refusal:\n%s", diff)
	}
	if told := refusedPaid.do(&o); o.State() != Cancelling || len(told) > 0 {
		t.Errorf("on the refusal's duplicate: state = %s, told %v; want cancelling and nothing", o.State(), told)
	}
	if refundedCustomer.do(&o); o.State() != Cancelled || o.Why() != ByCustomer {
		t.Errorf("at the end: %s, %s", o.State(), o.Why())
	}
}

func TestWhy_SaysTheReasonWhileCancellingAndAfter(t *testing.T) {
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

// TestStories_EndTheSameInAnyOrder takes the events of every story through all their permutations, with one of them
// doubled at every place. What the order itself does (cancel, deadline) comes first: the rest answers it.
func TestStories_EndTheSameInAnyOrder(t *testing.T) {
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
		{"deadline, but paid", []step{deadline}, []step{reserved, processed, refusedPaid, dispatched, delivered}, Completed, ""},
		{"deadline, but paid, not shipped yet", []step{deadline}, []step{reserved, processed, refusedPaid}, Paid, ""},
		{"deadline and customer", []step{deadline, cancel}, []step{reserved, processed, refusedPaid, refundedCustomer}, Cancelled, ByCustomer},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			for doubled := range story.events {
				permute(append(append([]step{}, story.events...), story.events[doubled]), func(order []step) {
					o, told := run(append(append([]step{}, story.starts...), order...)...)
					if o.State() != story.end || o.Why() != story.why {
						t.Errorf("%v: ends %s %q, want %s %q", names(order), o.State(), o.Why(), story.end, story.why)
					}
					seen := map[Fact]int{}
					for _, f := range told {
						if seen[f]++; seen[f] > 1 {
							t.Errorf("%v: told %q twice", names(order), f)
						}
					}
					if (seen[OrderCompleted] == 1) != (story.end == Completed) || (seen[OrderCancelled] == 1) != (story.end == Cancelled) {
						t.Errorf("%v: ends %s, told %v", names(order), o.State(), told)
					}
					if story.end == Completed && seen[OrderConfirmed] != 1 {
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

func TestOverdue_IsToldOnceAndOnlyOfOrdersThatWait(t *testing.T) {
	t.Parallel()
	for _, state := range States {
		o, _ := run(before[state]...)
		told, again := o.Overdue(), o.Overdue()
		if want := state != Completed && state != Cancelled; (len(told) == 1) != want || len(again) != 0 || o.State() != state {
			t.Errorf("%s: told %v, then %v, and is %s", state, told, again, o.State())
		}
	}
}

func TestReasons_AreTheContractsWords(t *testing.T) {
	t.Parallel()
	got := []Reason{ByCustomer, ByDeadline, OutOfStock, CardDeclined, Undeliverable}
	want := []Reason{
		contracts.ReasonCustomer, contracts.ReasonDeadline, contracts.ReasonOutOfStock, contracts.ReasonDeclined,
		contracts.ReasonUndeliverable,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
