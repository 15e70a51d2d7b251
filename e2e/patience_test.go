package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

// impatient has the order service wait for less than it would, until the end of the test.
func impatient(t *testing.T, settings ...string) {
	t.Helper()
	restart := func(settings ...string) {
		if err := shop.Restart("order", settings...); err != nil {
			t.Error(err)
		}
		if err := shop.awaitReady(context.Background()); err != nil {
			t.Error(err)
		}
	}
	restart(settings...)
	t.Cleanup(func() { restart() })
}

func TestDeadlinePasses_CancelsWhatIsNotPaid(t *testing.T) {
	impatient(t, "ORDER_PAYMENT_DEADLINE=3s")
	sku := shop.stock(t, "dance-card", 3)
	held := shop.misbehave(t, shop.Processor, fault("confirm", "pause", "before", 1))
	id := shop.place(t, orderOf(sku, 2))
	held.await(t)
	if o := shop.awaitState(t, id, "cancelling"); o.Reason != "deadline" || !strings.Contains(o.Message, "not been made in time") {
		t.Errorf("order %+v", o)
	}
	awaitShipment(t, id, "cancelled")
	held.mend(t)

	// The charge was under way, so it is brought to its end and given back.
	if o := shop.await(t, id, "cancelled"); o.Reason != "deadline" {
		t.Errorf("reason %q", o.Reason)
	}
	assertMoney(t, id, 1, 0)
	assertParcel(t, id, "")
	assertStock(t, sku, 3)
	assertBooks(t, id)
	assertScheduled(t, assertTrace(t, id, "past the deadline"))
}

func TestDeadlinePasses_LeavesWhatIsPaidAlone(t *testing.T) {
	impatient(t, "ORDER_PAYMENT_DEADLINE=5s")
	sku := shop.stock(t, "dance-card", 3)
	held := shop.misbehave(t, shop.Carrier, fault("dispatch", "pause", "", 0))
	id := shop.place(t, orderOf(sku, 2))
	shop.awaitState(t, id, "paid")
	shop.eventually(t, "the deadline has passed", func() bool { return deadlineTaken(t, id) })
	if o, _ := shop.orderState(t, id); o.State != "paid" || o.heard("order.cancel_requested") != 0 {
		t.Errorf("order %+v", o)
	}
	held.mend(t)
	shop.await(t, id, "completed")
	assertMoney(t, id, 1, 2*1999)
	assertBooks(t, id)
	assertScheduled(t, assertTrace(t, id, "paid before the deadline"))
}

// assertScheduled checks that the sending of the deadline says when it was decided.
func assertScheduled(t *testing.T, trace []*otlp.Span) {
	t.Helper()
	var created, sent *otlp.Span
	for _, s := range trace {
		if s.Attribute("cloudevents.event_type") != "order.payment_deadline_passed.v1" {
			continue
		}
		switch s.Attribute("messaging.operation.name") {
		case "create":
			created = s
		case "publish":
			sent = s
		}
	}
	if created == nil || sent == nil || !sent.LinksTo(created) || sent.Links[0].Reason != "scheduled" || !sent.Start.After(created.End) {
		t.Errorf("created %+v, sent %+v", created, sent)
	}
}

// deadlineTaken says whether the order service has heard of the order's deadline.
func deadlineTaken(t *testing.T, id string) bool {
	t.Helper()
	var books struct {
		Events struct {
			Published []struct{ ID, Type, Subject string }
			Taken     []struct{ Reaction, EventID string }
		}
	}
	shop.must(t, http.StatusOK, http.MethodGet, shop.Order+"/ops/audit", nil).decode(t, &books)
	for _, e := range books.Events.Published {
		if e.Type != "order.payment_deadline_passed.v1" || e.Subject != id {
			continue
		}
		for _, mark := range books.Events.Taken {
			if mark.EventID == e.ID {
				return true
			}
		}
	}
	return false
}

// Orders whose charges take longer than the deadline, and others whose charges are made at once, race with it. Each ends
// paid and delivered, or neither; and of each kind there are some.
func TestDeadlineAgainstPayment_EndsOneWayOrTheOther(t *testing.T) {
	impatient(t, "ORDER_PAYMENT_DEADLINE=5s")
	const orders = 60
	sku := shop.stock(t, "dance-card", orders)
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
				ids[i] = shop.place(t, orderOf(sku, 1))
			})
		}
		start.Done()
		done.Wait()
		for _, id := range ids {
			var o orderView
			shop.eventually(t, "order "+id+" ends", func() bool {
				var ok bool
				o, ok = shop.orderState(t, id)
				return ok && o.terminal()
			}, func() string { return fmt.Sprintf("%+v", o) })
			if o.State == "cancelled" && o.Reason != "deadline" {
				t.Errorf("order %s is cancelled because of %q", id, o.Reason)
			}
			ends[o.State]++
		}
		assertBooks(t, ids...)
	}
	race(orders / 6) // in time, unless the machine is slower than slow
	slow := fault("confirm", "delay", "before", 0)
	slow.Delay = "1200ms" // eight at a time
	trouble := shop.misbehave(t, shop.Processor, slow)
	race(orders / 2)
	trouble.mend(t)
	held := shop.misbehave(t, shop.Processor, fault("confirm", "pause", "before", 0))
	late := sync.WaitGroup{}
	late.Go(func() {
		shop.eventually(t, "the deadline has passed", func() bool {
			a, err := shop.do(http.MethodGet, shop.Order+"/api/v1/orders?status=cancelling", nil)
			return err == nil && strings.Contains(string(a.body), sku)
		})
		held.mend(t)
	})
	race(orders / 3)
	late.Wait()
	t.Logf("ends: %v", ends)
	if ends["completed"] == 0 || ends["cancelled"] == 0 {
		t.Errorf("nobody raced: %v", ends)
	}
	assertStock(t, sku, orders-ends["completed"])
}

func TestStalledOrder_IsAnnouncedAndGoesOn(t *testing.T) {
	impatient(t, "ORDER_STALLED_AFTER=300ms")
	sku := shop.stock(t, "dance-card", 1)
	held := shop.misbehave(t, shop.Processor, fault("confirm", "pause", "before", 1))
	id := shop.place(t, orderOf(sku, 1))
	var o orderView
	shop.eventually(t, "it is announced that the order waits for its payment", func() bool {
		o, _ = shop.orderState(t, id)
		return o.State == "reserved" && strings.Contains(o.Message, "longer than it should")
	}, func() string { return fmt.Sprintf("%+v", o) })
	if o.heard("order.stalled") == 0 {
		t.Errorf("it is not in the history: %+v", o)
	}
	var facts struct {
		Stalled                          bool
		Missing, WaitingOn, WaitingSince string
	}
	shop.must(t, http.StatusOK, http.MethodGet, shop.Order+"/ops/orders/"+id, nil).decode(t, &facts)
	if !facts.Stalled || facts.Missing != "paid" || facts.WaitingOn != "payment" || facts.WaitingSince == "" {
		t.Errorf("operators read %+v", facts)
	}
	if list := shop.must(t, http.StatusOK, http.MethodGet, shop.Order+"/ops/orders?limit=100", nil); !strings.Contains(string(list.body), id) {
		t.Errorf("it is not among those that wait: %s", list.body)
	}
	held.mend(t)
	if o := shop.await(t, id, "completed"); strings.Contains(o.Message, "longer") {
		t.Errorf("message %q", o.Message)
	}
	assertMoney(t, id, 1, 1999)
	assertBooks(t, id)
	assertTrace(t, id, "stalled")
}
