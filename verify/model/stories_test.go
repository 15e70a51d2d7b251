package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/services/payment"
)

// ending is the final state of an order, its money, its stock and its parcel.
type ending struct {
	Order          order.State
	Reason         order.Reason
	Captured, Back uint8
	OnHand         int
	Delivered      bool
}

// story is a set of schedules in which an order has one ending. holds reports whether a move must wait, because it would
// lead to another ending.
type story struct {
	name           string
	given          Circumstances
	cancelRequests uint8
	holds          func(v *view, m moveKind, l message) bool
	ends           ending
}

func stories() []story {
	var (
		happy     = ending{Order: order.Completed, Captured: 1, OnHand: plenty - ordered, Delivered: true}
		unpaid    = func(why order.Reason) ending { return ending{Order: order.Cancelled, Reason: why, OnHand: plenty} }
		givenBack = func(why order.Reason) ending {
			return ending{Order: order.Cancelled, Reason: why, Captured: 1, Back: 1, OnHand: plenty}
		}

		// The deadline passes only when it is too late to matter.
		late = func(v *view, _ moveKind, l message) bool {
			return l.input == deadline && !v.completed() && !v.cancelled()
		}
		// Payment learns of the reservation only when it must not charge any more.
		uncharged = func(v *view, _ moveKind, l message) bool {
			return l.input == "inventory-reserved" && l.to == atPayment && v.payment.State == payment.Waiting
		}
	)
	return []story{
		{name: "happy", holds: late, ends: happy},
		{
			name: "out of stock", given: Circumstances{StockShort: true}, holds: late,
			ends: ending{Order: order.Cancelled, Reason: order.OutOfStock, OnHand: scarce},
		},
		{name: "declined", given: Circumstances{CardDeclined: true}, holds: late, ends: unpaid(order.CardDeclined)},
		{
			name: "undeliverable", given: Circumstances{Undeliverable: true}, holds: late,
			ends: givenBack(order.Undeliverable),
		},
		{
			name: "cancelled before anything", cancelRequests: 2,
			holds: func(v *view, m moveKind, l message) bool {
				return late(v, m, l) || uncharged(v, m, l) || (m != customerCancel && !v.order.Accepted && l.input != placed)
			},
			ends: unpaid(order.ByCustomer),
		},
		{
			name: "cancelled while the card is charged", cancelRequests: 2,
			// The cancel request comes once the charge is decided; its outcome reaches the order after payment.
			holds: func(v *view, m moveKind, l message) bool {
				return late(v, m, l) || (m == customerCancel && v.payment.State != payment.Charging) ||
					(l.input == captured && v.payment.State == payment.Charging)
			},
			ends: givenBack(order.ByCustomer),
		},
		{
			name: "cancelled after the charge, before the hand-over", cancelRequests: 2,
			holds: func(v *view, m moveKind, l message) bool {
				return late(v, m, l) || (m == customerCancel && v.payment.State != payment.Charged) || m == dispatch
			},
			ends: givenBack(order.ByCustomer),
		},
		{
			name: "cancelled too late", cancelRequests: 2,
			holds: func(v *view, m moveKind, l message) bool {
				return late(v, m, l) || (m == customerCancel && !v.hasLeft())
			},
			ends: happy,
		},
		{
			name:  "the deadline passes before the card is charged",
			holds: uncharged, ends: unpaid(order.ByDeadline),
		},
		{
			name:  "the deadline passes, but shipping knows that the order is paid for",
			holds: func(v *view, _ moveKind, l message) bool { return l.input == deadline && !v.shipment.Shipment.Paid },
			ends:  happy,
		},
		{
			name: "the customer cancels while the deadline's request is under way", cancelRequests: 2,
			// The order does not observe the payment before it has requested the cancellation for the deadline, and the customer
			// cancels after that.
			holds: func(v *view, m moveKind, l message) bool {
				seen := v.order.Order.Observed
				return (l.input == deadline && !v.shipment.Shipment.Paid) ||
					(m == customerCancel && !seen.DeadlineAsked) ||
					(!v.order.Accepted && (l.input == "payment-processed" && l.to == atOrder || l.input == "shipment-cancel-refused")) ||
					m == dispatch
			},
			ends: givenBack(order.ByCustomer),
		},
	}
}

// A story has the same ending in every random schedule, with up to three faults.
func TestStories_EndIndependentOfEventOrder(t *testing.T) {
	t.Parallel()
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, s.play)
		})
	}
}

func (s story) play(t *rapid.T) {
	r, w, err := newRun(newModel(), s.given, rapid.IntRange(0, 3).Draw(t, "mishaps"))
	if err != nil {
		t.Fatal(err)
	}
	w.cancelRequests = s.cancelRequests
	for {
		all, err := r.moves(&w, nil)
		if err != nil {
			t.Fatal(err)
		}
		v := r.view(&w)
		var open []next
		for _, n := range all {
			if !s.holds(&v, n.move.kind, r.messages[n.move.message]) {
				open = append(open, n)
			}
		}
		if len(open) == 0 {
			break
		}
		n := open[rapid.IntRange(0, len(open)-1).Draw(t, "move")]
		t.Log(r.words(&w, n.move))
		w = n.state
		if invariant := r.broken(&w); invariant != "" {
			t.Fatal("violated: " + invariant)
		}
	}
	v := r.view(&w)
	if !r.atRest(&w) {
		t.Fatalf("the story is stuck: %s", v)
	}
	got := ending{
		Order: v.order.Order.State(), Reason: v.order.Order.Reason, Captured: v.captures, Back: v.refunds,
		OnHand: v.stock.Product.OnHand - v.stock.Product.Reserved, Delivered: v.parcel == delivered,
	}
	if diff := cmp.Diff(s.ends, got); diff != "" {
		t.Error(diff)
	}
}
