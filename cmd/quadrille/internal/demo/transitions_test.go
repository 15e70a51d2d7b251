package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// historyOf returns a history with a millisecond between the events. An event may have a description after a blank.
func historyOf(events ...string) (all []stackclient.HistoryEntry) {
	zero := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	for i, e := range events {
		eventType, description, _ := strings.Cut(e, " ")
		all = append(all, stackclient.HistoryEntry{
			At: zero.Add(time.Duration(i) * time.Millisecond), Event: eventType + ".v1", Description: description,
		})
	}
	return all
}

func TestTransitions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		history []string
		want    []order.State
	}{
		"all goes well": {
			[]string{"order.created", "inventory.reserved", "payment.processed", "order.confirmed", "shipment.created", "shipment.dispatched", "shipment.delivered", "order.completed"},
			[]order.State{order.Pending, order.Reserved, order.Paid, order.Shipped, order.Completed},
		},
		"out of stock": {
			[]string{"order.created", "inventory.reservation_failed", "order.cancelled"},
			[]order.State{order.Pending, order.Cancelled},
		},
		"undeliverable": {
			[]string{"order.created", "inventory.reserved", "payment.processed", "order.confirmed", "shipment.failed", "payment.refunded", "inventory.released", "order.cancelled"},
			[]order.State{order.Pending, order.Reserved, order.Paid, order.Cancelling, order.Cancelled},
		},
		"a payment after a cancel request": {
			[]string{"order.created", "order.cancel_requested the customer asked", "inventory.reserved", "payment.processed", "shipment.cancelled", "payment.refunded", "order.cancelled"},
			[]order.State{order.Pending, order.Cancelling, order.Cancelled},
		},
		"a cancel request that is too late": {
			[]string{"order.created", "inventory.reserved", "payment.processed", "order.cancel_requested the customer asked", "shipment.dispatched", "shipment.cancel_refused", "shipment.delivered"},
			[]order.State{order.Pending, order.Reserved, order.Paid, order.Cancelling, order.Shipped, order.Completed},
		},
		"a payment before the deadline": {
			[]string{"order.created", "inventory.reserved", "order.cancel_requested", "payment.processed", "shipment.cancel_refused", "shipment.dispatched"},
			[]order.State{order.Pending, order.Reserved, order.Cancelling, order.Paid, order.Shipped},
		},
		"a late event after the end": {
			[]string{"order.created", "payment.failed", "order.cancelled", "inventory.reserved"},
			[]order.State{order.Pending, order.Cancelled},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []order.State
			for _, s := range transitions(stackclient.Order{State: string(c.want[len(c.want)-1]), History: historyOf(c.history...)}) {
				got = append(got, s.state)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTransitions_NewerHistory(t *testing.T) {
	t.Parallel()
	o := stackclient.Order{State: contracts.OrderStatePaid, History: historyOf("order.created", "inventory.reserved", "payment.processed", "shipment.failed", "order.cancelled")}
	var got []order.State
	for _, s := range transitions(o) {
		got = append(got, s.state)
	}
	if diff := cmp.Diff([]order.State{order.Pending, order.Reserved, order.Paid}, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestTransitions_Messages(t *testing.T) {
	t.Parallel()
	current := stackclient.Order{
		State: contracts.OrderStateCancelling, Reason: contracts.ReasonUndeliverable, Message: "Sorry.", History: historyOf("order.created", "shipment.failed"),
	}
	if last := transitions(current)[1]; last.reason != order.Undeliverable || last.message != "Sorry." {
		t.Errorf("current state: %+v", last)
	}
	past := stackclient.Order{
		State: contracts.OrderStateCompleted, Message: "Done.", History: historyOf("order.created", "shipment.dispatched", "shipment.delivered"),
	}
	past.Shipment.Tracking = "QD1"
	if shipped := transitions(past)[1]; shipped.message != "Your parcel is on its way; its tracking number is QD1." {
		t.Errorf("past state: %+v", shipped)
	}
	for cause, reason := range map[string]order.Reason{
		"shipment.failed": order.Undeliverable, "order.cancel_requested the customer asked": order.ByCustomer,
		"order.cancel_requested still not paid": order.ByDeadline,
	} {
		ended := stackclient.Order{State: contracts.OrderStateCancelled, Message: "Over.", History: historyOf("order.created", cause, "order.cancelled")}
		if got := transitions(ended)[1]; got.state != order.Cancelling || got.reason != reason || got.message == "Over." || got.message == "" {
			t.Errorf("%s: %+v", cause, got)
		}
	}
}

func TestWatcher_ShowsPastStates(t *testing.T) {
	t.Parallel()
	f := newFakeStack(t)
	f.order = stackclient.Order{ID: "1", State: contracts.OrderStatePending, History: historyOf("order.created")}
	for _, service := range []string{orderService, inventoryService, paymentService, shippingService} {
		f.snapshots[service] = newSnapshot(service, false, time.Now(), nil, nil)
	}
	_, read := newTestWatcher(t, f)
	if diff := cmp.Diff([]string{"order order.created.v1", "order pending"}, read()); diff != "" {
		t.Errorf("first reading (-want +got):\n%s", diff)
	}
	f.change(func() {
		f.order.State = contracts.OrderStateCancelled
		f.order.History = historyOf("order.created", "inventory.reserved", "payment.processed", "shipment.failed", "payment.refunded", "order.cancelled")
	})
	want := []string{
		"inventory inventory.reserved.v1", "order reserved", "payment payment.processed.v1", "order paid",
		"shipping shipment.failed.v1", "order cancelling", "payment payment.refunded.v1", "order order.cancelled.v1", "order cancelled",
	}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("second reading (-want +got):\n%s", diff)
	}
	f.change(func() { f.order.State, f.order.History = contracts.OrderStatePaid, f.order.History[:3] })
	if again := read(); len(again) > 0 {
		t.Errorf("late response: %v", again)
	}
}
