package order_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

// watch runs some watchdogs, as several instances would, until the test ends.
func (s *fixture) watch(t *testing.T, instances int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range instances {
		running.Go(func() {
			if err := s.service.Watch(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { stop(); running.Wait() })
}

func TestWatch_AnnouncesStalledOrderOnce(t *testing.T) {
	t.Parallel()
	s := newFixtureWith(t, order.Timeouts{Payment: time.Hour, Services: time.Millisecond, Carrier: time.Hour})
	id, paid, ended := s.place(t), s.place(t), s.place(t)
	s.Deliver(t, contracts.PaymentProcessed{OrderID: paid, PaymentID: "pi_1"})
	s.Deliver(t, contracts.ShipmentCreated{OrderID: paid, ShipmentID: "shp_1"})
	s.Deliver(t, contracts.PaymentVoided{OrderID: ended, Reason: contracts.ReasonCustomer})
	s.watch(t, 5)

	stalled := eventstest.Decode[contracts.OrderStalled](t, s.Transport.WaitFor(t, "order.stalled.v1", id))
	if stalled.State != "pending" || stalled.Missing != "reserved" || stalled.WaitingOn != "inventory" || stalled.Since.IsZero() {
		t.Errorf("order.stalled has %+v", stalled)
	}
	if got := s.get(t, id); !strings.Contains(got.Message, "longer than it should") {
		t.Errorf("the customer reads %q", got.Message)
	}

	// It goes on, and waits again.
	s.Deliver(t, contracts.InventoryReserved{OrderID: id})
	servicetest.WaitUntil(t, "it is published again", func() bool { return s.get(t, id).count("order.stalled.v1") == 2 })
	s.Deliver(t, contracts.PaymentFailed{OrderID: id, Code: "x"})
	s.wantState(t, id, order.Cancelled)

	s.WantPublishedTypes(t, id, "order.created.v1", "order.stalled.v1", "order.stalled.v1", "order.cancelled.v1")
	s.WantPublishedTypes(t, paid, "order.created.v1", "order.confirmed.v1")
	s.WantPublishedTypes(t, ended, "order.created.v1", "order.cancelled.v1")
}

func TestWatch_CarrierHasOwnTimeout(t *testing.T) {
	t.Parallel()
	s := newFixtureWith(t, order.Timeouts{Payment: time.Hour, Services: time.Hour, Carrier: time.Millisecond})
	pending, paid, unbooked := s.place(t), s.place(t), s.place(t)
	s.Deliver(t, contracts.PaymentProcessed{OrderID: paid, PaymentID: "pi_1"})
	s.Deliver(t, contracts.ShipmentCreated{OrderID: paid, ShipmentID: "shp_1"})
	s.Deliver(t, contracts.PaymentProcessed{OrderID: unbooked, PaymentID: "pi_2"})
	s.watch(t, 1)
	stalled := eventstest.Decode[contracts.OrderStalled](t, s.Transport.WaitFor(t, "order.stalled.v1", paid))
	if stalled.Missing != "dispatched" || stalled.WaitingOn != "shipping" {
		t.Errorf("order.stalled has %+v", stalled)
	}
	s.WantPublishedTypes(t, pending, "order.created.v1")
	s.WantPublishedTypes(t, unbooked, "order.created.v1", "order.confirmed.v1")
}

func TestWatch_AnnouncesMoreThanOneBatch(t *testing.T) {
	t.Parallel()
	s := newFixtureWith(t, order.Timeouts{Payment: time.Hour, Services: time.Hour, Carrier: time.Hour})
	const orders = 230 // more than are looked for at once
	for range orders {
		s.place(t)
	}
	if err := s.DB.Exec("UPDATE orders SET waiting_since = ?", time.Now().Add(-2*time.Hour)).Error; err != nil {
		t.Fatal(err)
	}
	s.watch(t, 1)
	servicetest.WaitUntil(t, "all are announced", func() bool {
		var stalled int64
		return s.DB.Table("orders").Where("stalled").Count(&stalled).Error == nil && stalled == orders
	})
}

// An order whose parcel is booked waits for the carrier, although it has not observed the payment.
func TestWatch_BookedBeforePaid(t *testing.T) {
	t.Parallel()
	s := newFixtureWith(t, order.Timeouts{Payment: time.Hour, Services: time.Hour, Carrier: 7 * 24 * time.Hour})
	s.placeLate(t, 120, func(id string) { s.Deliver(t, contracts.ShipmentCreated{OrderID: id, ShipmentID: "shp_1"}) })
	young := s.placeLate(t, 1, func(string) {})[0]
	queries := s.countQueries(t)
	s.watch(t, 1)
	s.Transport.WaitFor(t, "order.stalled.v1", young)
	if n := queries(); n > 100 {
		t.Errorf("%d queries to announce one order", n)
	}
	var stalled int64
	if err := s.DB.Table("orders").Where("stalled").Count(&stalled).Error; err != nil || stalled != 1 {
		t.Errorf("%d orders are stalled, want 1: %v", stalled, err)
	}
}

// An instance of an older version does not store what an order waits for.
func TestWatch_PassesOrdersThatAreNotDue(t *testing.T) {
	t.Parallel()
	s := newFixtureWith(t, order.Timeouts{Payment: time.Hour, Services: time.Hour, Carrier: 7 * 24 * time.Hour})
	s.placeLate(t, 120, func(id string) { s.Deliver(t, contracts.ShipmentCreated{OrderID: id, ShipmentID: "shp_1"}) })
	if err := s.DB.Exec("UPDATE orders SET waits_for_carrier = false").Error; err != nil {
		t.Fatal(err)
	}
	young := s.placeLate(t, 1, func(string) {})[0]
	s.watch(t, 1)
	s.Transport.WaitFor(t, "order.stalled.v1", young)
}

// A failure of one order does not keep the younger ones from being announced.
func TestWatch_PassesOrdersThatFail(t *testing.T) {
	t.Parallel()
	s := newFixtureWith(t, order.Timeouts{Payment: time.Hour, Services: time.Hour, Carrier: time.Hour})
	s.placeLate(t, 120, func(string) {})
	if err := s.DB.Exec("UPDATE orders SET version = -1").Error; err != nil { // a history entry at position 0 exists
		t.Fatal(err)
	}
	if err := s.DB.Exec("INSERT INTO order_history SELECT id, 0, placed_at, '', '' FROM orders").Error; err != nil {
		t.Fatal(err)
	}
	young := s.placeLate(t, 1, func(string) {})[0]
	s.watch(t, 1)
	s.Transport.WaitFor(t, "order.stalled.v1", young)
}

// placeLate places orders, delivers what the test wants to each, and has them wait for two hours, later ones a little
// shorter.
func (s *fixture) placeLate(t *testing.T, n int, deliver func(id string)) []string {
	t.Helper()
	ids := make([]string, n)
	since := time.Now().Add(-2 * time.Hour)
	var placed int64
	if err := s.DB.Table("orders").Count(&placed).Error; err != nil {
		t.Fatal(err)
	}
	for i := range ids {
		ids[i] = s.place(t)
		deliver(ids[i])
		at := since.Add(time.Duration(placed+int64(i)) * time.Second)
		if err := s.DB.Exec("UPDATE orders SET waiting_since = ? WHERE id = ?", at, ids[i]).Error; err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// countQueries returns a function that returns the number of queries since.
func (s *fixture) countQueries(t *testing.T) func() int64 {
	t.Helper()
	var n atomic.Int64
	count := func(*gorm.DB) { n.Add(1) }
	if err := s.DB.Callback().Query().Before("gorm:query").Register("test:count", count); err != nil {
		t.Fatal(err)
	}
	return n.Load
}

// The customer's own request, which had to wait for the outcome of the deadline's, is not late from the beginning.
func TestStalled_EndsWithCustomerRequest(t *testing.T) {
	t.Parallel()
	s := newFixtureWith(t, order.Timeouts{Payment: time.Hour, Services: time.Hour, Carrier: time.Hour})
	id := s.place(t)
	s.Deliver(t, contracts.OrderPaymentDeadlinePassed{OrderID: id})
	if err := s.DB.Exec("UPDATE orders SET waiting_since = ?", time.Now().Add(-2*time.Hour)).Error; err != nil {
		t.Fatal(err)
	}
	s.watch(t, 1)
	s.Transport.WaitFor(t, "order.stalled.v1", id)
	s.cancel(t, id)
	if got := s.get(t, id); got.History[len(got.History)-1].Description != "the customer asked to cancel; the deadline's request is decided first" {
		t.Errorf("the wish left no trace: %+v", got.History)
	}
	s.Deliver(t, contracts.ShipmentCancelRefused{OrderID: id, Because: contracts.BecausePaid})
	if got := s.get(t, id); got.State != order.Cancelling || strings.Contains(got.Message, "longer") {
		t.Errorf("%s: %s", got.State, got.Message)
	}
}

func TestOpsOrder_ShowsMissingFacts(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	id := s.place(t)
	s.Deliver(t, contracts.PaymentProcessed{OrderID: id, PaymentID: "pi_1"})
	s.cancel(t, id)

	type fact struct{ Fact, At string }
	type facts struct {
		ID, State                        string
		Missing, WaitingOn, WaitingSince string
		Observed                         []fact
		Overtaken                        []struct{ Missing string }
		Stalled                          bool
		History                          []struct{ Event string }
	}
	got := servicetest.Decode[facts](t, s.GetOps(t, "/orders/"+id), http.StatusOK)
	if got.State != "cancelling" || got.Missing != "cancelled" || got.WaitingOn != "shipping" || got.Stalled {
		t.Errorf("facts %+v", got)
	}
	if since, err := time.Parse(time.RFC3339, got.WaitingSince); err != nil || time.Since(since) > time.Minute {
		t.Errorf("waiting since %q", got.WaitingSince)
	}
	var seen []string
	for _, f := range got.Observed {
		if _, err := time.Parse(time.RFC3339, f.At); err != nil {
			t.Errorf("%s was seen at %q", f.Fact, f.At)
		}
		seen = append(seen, f.Fact)
	}
	if diff := cmp.Diff([]string{"paid", "customer asked to cancel"}, seen); diff != "" {
		t.Errorf("seen (-want +got)\n%s", diff)
	}
	if len(got.Overtaken) != 1 || got.Overtaken[0].Missing != "reserved" || len(got.History) != 4 {
		t.Errorf("overtaken %v, history %v", got.Overtaken, got.History)
	}

	servicetest.WantProblem(t, s.GetOps(t, "/orders/"+uuid.NewString()), http.StatusNotFound)
	servicetest.WantProblem(t, s.GetOps(t, "/orders/nonsense"), http.StatusNotFound)
	servicetest.WantProblem(t, s.Call(t, http.MethodGet, "/ops/orders/"+id, ""), http.StatusUnauthorized)
}

func TestOpsOrder_DistinguishesRefusals(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	id := s.place(t)
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	deliver := func(eto events.ETO) {
		s.DeliverWith(t, eto, eventstest.WithTime(at))
		at = at.Add(time.Hour)
	}
	deliver(contracts.ShipmentCancelRefused{OrderID: id, Because: contracts.BecausePaid})
	deliver(contracts.ShipmentCancelRefused{OrderID: id, Because: contracts.BecauseDispatched})
	got := servicetest.Decode[struct{ Observed []struct{ Fact, At string } }](t, s.GetOps(t, "/orders/"+id), http.StatusOK)
	want := []struct{ Fact, At string }{{"paid", "2026-05-01T12:00:00Z"}, {"dispatched", "2026-05-01T13:00:00Z"}}
	if diff := cmp.Diff(want, got.Observed); diff != "" {
		t.Errorf("seen (-want +got)\n%s", diff)
	}
}

func TestOpsOrders_SortsByWaitingTime(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	first, second, ended, third := s.place(t), s.place(t), s.place(t), s.place(t)
	s.Deliver(t, contracts.PaymentVoided{OrderID: ended, Reason: contracts.ReasonCustomer})
	s.Deliver(t, contracts.InventoryReserved{OrderID: first}) // waits anew

	type page struct {
		Items []struct {
			ID      string
			Missing string
		}
		NextCursor string
	}
	var ids, facts []string
	for path := "/orders?limit=2"; path != ""; {
		got := servicetest.Decode[page](t, s.GetOps(t, path), http.StatusOK)
		for _, o := range got.Items {
			ids, facts = append(ids, o.ID), append(facts, o.Missing)
		}
		if path = ""; got.NextCursor != "" {
			path = "/orders?limit=2&cursor=" + got.NextCursor
		}
	}
	if diff := cmp.Diff([]string{second, third, first}, ids); diff != "" {
		t.Errorf("orders (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"reserved", "reserved", "paid"}, facts); diff != "" {
		t.Errorf("waiting for (-want +got)\n%s", diff)
	}
	servicetest.WantProblem(t, s.GetOps(t, "/orders?stalled=perhaps"), http.StatusBadRequest)
	if err := s.DB.Exec("UPDATE orders SET stalled = true WHERE id = ?", second).Error; err != nil {
		t.Fatal(err)
	}
	if got := servicetest.Decode[page](t, s.GetOps(t, "/orders?stalled=true"), http.StatusOK); len(got.Items) != 1 || got.Items[0].ID != second {
		t.Errorf("stalled: %+v", got.Items)
	}
	servicetest.WantProblem(t, s.GetOps(t, "/orders?cursor=bm9uc2Vuc2U"), http.StatusBadRequest)
	servicetest.WantProblem(t, s.GetOps(t, "/orders?cursor=eyJrIjoibm8gaWQifQ"), http.StatusBadRequest)
}
