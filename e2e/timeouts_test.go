package e2e

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

// restartOrder restarts the order service with shorter timeouts, until the end of the test.
func restartOrder(t *testing.T, settings ...string) {
	t.Helper()
	restart := func(settings ...string) {
		if err := stack.Restart("order", settings...); err != nil {
			t.Error(err)
		}
		if err := stack.awaitReady(context.Background()); err != nil {
			t.Error(err)
		}
	}
	restart(settings...)
	t.Cleanup(func() { restart() })
}

func TestDeadline_CancelsUnpaidOrder(t *testing.T) {
	restartOrder(t, "ORDER_PAYMENT_DEADLINE=1s")
	sku := stack.addProduct(t, "dance-card", 3)
	charge := stack.inject(t, stack.Processor, newFault("confirm", "pause", "before", 1))
	id := stack.place(t, newOrder(sku, 2))
	charge.await(t)
	if o := stack.awaitState(t, id, "cancelling"); o.Reason != "deadline" || !strings.Contains(o.Message, "not been made in time") {
		t.Errorf("order %+v", o)
	}
	awaitShipment(t, id, "cancelled")
	charge.remove(t)

	// The charge was in progress. It is completed and refunded.
	if o := stack.await(t, id, "cancelled"); o.Reason != "deadline" {
		t.Errorf("reason %q", o.Reason)
	}
	assertMoney(t, id, 1, 0)
	assertParcel(t, id, "")
	assertStock(t, sku, 3)
	assertReconciled(t, id)
	assertScheduled(t, assertTrace(t, id, "past the deadline"))
}

func TestDeadline_KeepsPaidOrder(t *testing.T) {
	restartOrder(t, "ORDER_PAYMENT_DEADLINE=5s") // long enough to pay in time on a slow machine
	sku := stack.addProduct(t, "dance-card", 3)
	dispatch := stack.inject(t, stack.Carrier, newFault("dispatch", "pause", "", 0))
	id := stack.place(t, newOrder(sku, 2))
	stack.awaitState(t, id, "paid")
	stack.eventually(t, "the deadline has passed", func() bool { return deadlineConsumed(t, id) })
	if o, _ := stack.orderState(t, id); o.State != "paid" || o.eventCount("order.cancel_requested") != 0 {
		t.Errorf("order %+v", o)
	}
	dispatch.remove(t)
	stack.await(t, id, "completed")
	assertMoney(t, id, 1, 2*1999)
	assertReconciled(t, id)
	assertScheduled(t, assertTrace(t, id, "paid before the deadline"))
}

// assertScheduled checks that the span that publishes the deadline links to the earlier span that scheduled it.
func assertScheduled(t *testing.T, trace []*otlp.Span) {
	t.Helper()
	var created, published *otlp.Span
	for _, s := range trace {
		if s.Attribute("cloudevents.event_type") != "order.payment_deadline_passed.v1" {
			continue
		}
		switch s.Attribute("messaging.operation.name") {
		case "create":
			created = s
		case "publish":
			published = s
		}
	}
	if created == nil || published == nil || !published.LinksTo(created) || published.Links[0].Reason != "scheduled" ||
		!published.Start.After(created.End) {
		t.Errorf("created %+v, published %+v", created, published)
	}
}

// deadlineConsumed reports whether the order service has consumed the event that the order's deadline has passed.
func deadlineConsumed(t *testing.T, id string) bool {
	t.Helper()
	var snapshot struct {
		Events struct {
			Published []struct{ ID, Type, Subject string }
			Consumed  []struct{ Handler, EventID string }
		}
	}
	stack.must(t, http.StatusOK, http.MethodGet, stack.Order+"/ops/audit", nil).decode(t, &snapshot)
	for _, e := range snapshot.Events.Published {
		if e.Type != "order.payment_deadline_passed.v1" || e.Subject != id {
			continue
		}
		for _, record := range snapshot.Events.Consumed {
			if record.EventID == e.ID {
				return true
			}
		}
	}
	return false
}

// Some charges take longer than the deadline, and others do not. Each order ends paid and delivered, or cancelled without
// a charge, and both ends occur.
func TestDeadline_RacesWithPayment(t *testing.T) {
	long(t)
	restartOrder(t, "ORDER_PAYMENT_DEADLINE=5s")
	const orders = 60
	sku := stack.addProduct(t, "dance-card", orders)
	ends := map[string]int{}
	race := func(n int) {
		var (
			ids         = make([]string, n)
			start, done sync.WaitGroup
		)
		start.Add(1)
		for i := range ids {
			done.Go(func() {
				start.Wait()
				ids[i] = stack.place(t, newOrder(sku, 1))
			})
		}
		start.Done()
		done.Wait()
		for _, id := range ids {
			o := stack.awaitOrder(t, id, "ends", orderView.terminal)
			if o.State == "cancelled" && o.Reason != "deadline" {
				t.Errorf("order %s is cancelled with the reason %q", id, o.Reason)
			}
			ends[o.State]++
		}
		assertReconciled(t, ids...)
	}
	race(orders / 6)                                                           // these are paid in time, unless the machine is very slow
	slow := stack.inject(t, stack.Processor, newDelay("confirm", "1200ms", 0)) // eight charges at a time
	race(orders / 2)
	slow.remove(t)
	paused := stack.inject(t, stack.Processor, newFault("confirm", "pause", "before", 0))
	var late sync.WaitGroup
	late.Go(func() {
		stack.eventually(t, "the deadline has passed", func() bool {
			r, err := stack.do(http.MethodGet, stack.Order+"/api/v1/orders?status=cancelling", nil)
			return err == nil && strings.Contains(string(r.body), sku)
		})
		paused.remove(t)
	})
	race(orders / 3)
	late.Wait()
	t.Logf("ends: %v", ends)
	if ends["completed"] == 0 || ends["cancelled"] == 0 {
		t.Errorf("all orders ended the same way: %v", ends)
	}
	assertStock(t, sku, orders-ends["completed"])
}

func TestStalledOrder_IsAnnouncedAndCompletes(t *testing.T) {
	restartOrder(t, "ORDER_STALLED_AFTER=300ms")
	sku := stack.addProduct(t, "dance-card", 1)
	charge := stack.inject(t, stack.Processor, newFault("confirm", "pause", "before", 1))
	id := stack.place(t, newOrder(sku, 1))
	o := stack.awaitOrder(t, id, "is announced as stalled", func(o orderView) bool {
		return o.State == "reserved" && strings.Contains(o.Message, "longer than it should")
	})
	if o.eventCount("order.stalled") == 0 {
		t.Errorf("the history lacks order.stalled: %+v", o)
	}
	var details struct {
		Stalled                          bool
		Missing, WaitingOn, WaitingSince string
	}
	stack.must(t, http.StatusOK, http.MethodGet, stack.Order+"/ops/orders/"+id, nil).decode(t, &details)
	if !details.Stalled || details.Missing != "paid" || details.WaitingOn != "payment" || details.WaitingSince == "" {
		t.Errorf("/ops/orders/%s returns %+v", id, details)
	}
	if list := stack.must(t, http.StatusOK, http.MethodGet, stack.Order+"/ops/orders?limit=100", nil); !strings.Contains(string(list.body), id) {
		t.Errorf("/ops/orders lacks the stalled order: %s", list.body)
	}
	charge.remove(t)
	if o := stack.await(t, id, "completed"); strings.Contains(o.Message, "longer") {
		t.Errorf("message %q", o.Message)
	}
	assertMoney(t, id, 1, 1999)
	assertReconciled(t, id)
	assertTrace(t, id, "stalled")
}
