package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	eventsaudit "github.com/quadrille-dev/quadrille/pkg/events/audit"

	"github.com/google/go-cmp/cmp"
)

var errUnavailable = errors.New("connection refused")

func noDepths(context.Context) (map[string]int, error) { return map[string]int{}, nil }

func confirmAll(Mismatch) bool { return true }

func newReport(f *fixture, cfg Config) Report {
	s := f.reading(cfg.Orders...)
	return summarize(s, judge(s), confirmAll, cfg)
}

func TestReport_Checked(t *testing.T) {
	t.Parallel()
	f := newCleanFixture(t)
	f.publish("order.created.v1", "young-2", time.Minute, "payment.order-created")
	f.depths = map[string]int{"payment.order-created.q": 1, "payment.order-created.retry.1s": 2}
	r := newReport(f, Config{Depths: noDepths})
	want := Checked{
		Orders: map[string]int{"pending": 0, "reserved": 0, "paid": 1, "shipped": 0, "completed": 1, "cancelling": 0, "cancelled": 2},
		Money:  map[string]MoneySum{"EUR": {1600, 500, 1100}},
		Stock:  &StockSum{Products: 2, Received: 13, OnHand: 11, Reserved: 1, Shipped: 2},
		Parcels: map[string]int{
			"delivered": 1, "cancelled": 1, "booked": 1,
		},
		Events: r.Checked.Events,
		Queues: &Queues{Waiting: 1, Retrying: 2},
	}
	if diff := cmp.Diff(want, r.Checked); diff != "" {
		t.Error(diff)
	}
	if e := r.Checked.Events; e.Published != 28 || e.Consumed != e.Due-1 {
		t.Errorf("got %+v", *e)
	}
	if r.UnderWay.Orders != 1 || r.UnderWay.Events != 1 || !r.Clean || r.Status() != StatusClean {
		t.Errorf("got %+v", r)
	}
	settled := newReport(f, Config{Depths: noDepths, Settled: true})
	if settled.Clean || settled.Status() != StatusFindings {
		t.Errorf("settled with %+v", settled.UnderWay)
	}
}

func TestReport_NotChecked(t *testing.T) {
	t.Parallel()
	f := newCleanFixture(t)
	f.payment.Events.Audited, f.payment.Events.Published = false, newList[eventsaudit.Published]()
	f.inventory.Events.ConsumedSince = noon.Add(-20 * time.Minute)
	f.publish("order.created.v1", "kept-1", time.Hour, "inventory.order-created")
	f.publish("shipment.delivered.v1", "kept-2", 2*time.Hour)
	f.consume(Order, "shipment-failed", "before-auditing", 3*time.Hour)
	f.publish("inventory.released.v1", "kept-2", 2*time.Hour, "order.inventory-released")
	f.order.Entries.Orders = append(f.order.Entries.Orders, order{
		OrderID: "kept-2", State: "shipped", PlacedAt: noon.Add(-2 * time.Hour), StallsAt: noon.Add(time.Hour),
	})
	r := newReport(f, Config{})
	if len(r.Findings) > 0 || r.Status() != StatusNotChecked || r.Clean {
		t.Errorf("got %+v", r)
	}
	for i, want := range []string{
		"events of payment: auditing is off", "old events for inventory: 1 ", "events older than order.inventory-released: 1 ",
		"orders older than the event log: 1 ", "1 were consumed before", "dead-letters (without broker)",
	} {
		if len(r.NotChecked) != 6 || !strings.Contains(r.NotChecked[i], want) {
			t.Fatalf("%q does not contain %q", r.NotChecked, want)
		}
	}
}

func TestReport_Text(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 22 {
		f.order.Entries.Orders = append(f.order.Entries.Orders, order{
			OrderID: fmt.Sprintf("order-%02d", i), State: completed, Total: euros(100), PlacedAt: noon.Add(-time.Minute),
		})
		f.addIntent(intent{ID: "pi", OrderID: fmt.Sprintf("order-%02d", i), Amount: 100, Currency: "eur", Captures: 1})
	}
	f.inventory, f.payment, f.shipping = nil, nil, nil
	r := newReport(f, Config{Depths: noDepths})
	rules := map[string]int{}
	for _, finding := range r.Findings {
		rules[finding.Kind+"/"+finding.Rule] = len(finding.Orders)
	}
	if diff := cmp.Diff(map[string]int{"parcel/completed-undelivered": 22}, rules); diff != "" {
		t.Error(diff)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for want, there := range map[string]bool{
		"22 completed": true, "NOT CLEAN: one finding.": true, "\nparcel\n": true, "order-09: no parcel\n": true,
		"order-10": false, "and 12 more": true,
	} {
		if strings.Contains(text.String(), want) != there {
			t.Errorf("%q: %v, but\n%s", want, there, &text)
		}
	}
}
