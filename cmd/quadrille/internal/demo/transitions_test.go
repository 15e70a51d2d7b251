package demo

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// historyOf has a millisecond between the events.
func historyOf(events ...string) (all []stackclient.HistoryEntry) {
	zero := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	for i, e := range events {
		all = append(all, stackclient.HistoryEntry{At: zero.Add(time.Duration(i) * time.Millisecond), Event: e + ".v1"})
	}
	return all
}

func TestSteps_AreAllStatesThatTheOrderCameInto(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		history []string
		want    []string
	}{
		"all goes well": {
			[]string{"order.created", "inventory.reserved", "payment.processed", "order.confirmed", "shipment.created", "shipment.dispatched", "shipment.delivered", "order.completed"},
			[]string{pending, reserved, paid, shipped, completed},
		},
		"out of stock": {
			[]string{"order.created", "inventory.reservation_failed", "order.cancelled"},
			[]string{pending, cancelled},
		},
		"undeliverable": {
			[]string{"order.created", "inventory.reserved", "payment.processed", "order.confirmed", "shipment.failed", "payment.refunded", "inventory.released", "order.cancelled"},
			[]string{pending, reserved, paid, cancelling, cancelled},
		},
		"what comes after a wish to cancel does not bring it on": {
			[]string{"order.created", "order.cancel_requested", "inventory.reserved", "payment.processed", "shipment.cancelled", "payment.refunded", "order.cancelled"},
			[]string{pending, cancelling, cancelled},
		},
		"unless the parcel leaves": {
			[]string{"order.created", "inventory.reserved", "payment.processed", "order.cancel_requested", "shipment.dispatched", "shipment.cancel_refused", "shipment.delivered"},
			[]string{pending, reserved, paid, cancelling, shipped, completed},
		},
		"a deadline that turns out to be met": {
			[]string{"order.created", "inventory.reserved", "order.cancel_requested", "payment.processed", "shipment.cancel_refused", "shipment.dispatched"},
			[]string{pending, reserved, cancelling, paid, shipped},
		},
		"nothing happens after the end": {
			[]string{"order.created", "payment.failed", "order.cancelled", "inventory.reserved"},
			[]string{pending, cancelled},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, s := range stepsTo(stackclient.Order{State: c.want[len(c.want)-1], History: historyOf(c.history...)}) {
				got = append(got, s.state)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSteps_EndWithTheStateAlsoIfTheHistoryIsAhead(t *testing.T) {
	t.Parallel()
	o := stackclient.Order{State: paid, History: historyOf("order.created", "inventory.reserved", "payment.processed", "shipment.failed", "order.cancelled")}
	var got []string
	for _, s := range stepsTo(o) {
		got = append(got, s.state)
	}
	if diff := cmp.Diff([]string{pending, reserved, paid}, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestTold_IsWhatTheOrderSaysOfItselfAsLongAsItDoes(t *testing.T) {
	t.Parallel()
	o := stackclient.Order{State: cancelling, Reason: "undeliverable", Message: "Sorry."}
	if reason, message := toldOf(o, transition{state: cancelling}); reason != "undeliverable" || message != "Sorry." {
		t.Errorf("still in the state: %q, %q", reason, message)
	}
	o = stackclient.Order{State: completed, Message: "Done."}
	o.Shipment.Tracking = "QD1"
	if _, message := toldOf(o, transition{state: shipped}); message != "Your parcel is on its way; its tracking number is QD1." {
		t.Errorf("shipped: %q", message)
	}
	for reason, causes := range map[string][]string{
		"undeliverable": {"shipment.failed"}, "customer": {"order.cancel_requested"}, "deadline": {"order.cancel_requested"},
	} {
		for _, h := range historyOf(causes...) {
			got, message := toldOf(stackclient.Order{State: cancelled, Reason: reason, Message: "Over."}, transition{cancelling, h})
			if got != reason || message == "Over." || message == "" {
				t.Errorf("was cancelling because of %s: %q, %q", reason, got, message)
			}
		}
	}
}

func TestFeed_ShowsStatesThatWereOverBeforeItLooked(t *testing.T) {
	t.Parallel()
	f := newFakeStack(t)
	f.order = stackclient.Order{ID: "1", State: pending, History: historyOf("order.created")}
	for _, service := range []string{orderService, inventoryService, paymentService, shippingService} {
		f.snapshots[service] = newSnapshot(service, false, time.Now(), nil, nil)
	}
	_, read := newTestWatcher(t, f)
	if diff := cmp.Diff([]string{"order order.created.v1", "order pending"}, read()); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	f.change(func() {
		f.order.State = cancelled
		f.order.History = historyOf("order.created", "inventory.reserved", "payment.processed", "shipment.failed", "payment.refunded", "order.cancelled")
	})
	want := []string{
		"inventory inventory.reserved.v1", "order reserved", "payment payment.processed.v1", "order paid",
		"shipping shipment.failed.v1", "order cancelling", "payment payment.refunded.v1", "order order.cancelled.v1", "order cancelled",
	}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("then (-want +got):\n%s", diff)
	}
	f.change(func() { f.order.State, f.order.History = paid, f.order.History[:3] })
	if again := read(); len(again) > 0 {
		t.Errorf("from an answer that is late: %v", again)
	}
}
