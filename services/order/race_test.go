package order_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/order"
)

// race calls all at the same moment and waits until they are done.
func race(all ...func()) {
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	ready.Add(len(all))
	for _, f := range all {
		done.Go(func() {
			ready.Done()
			<-gate
			f()
		})
	}
	ready.Wait()
	close(gate)
	done.Wait()
}

func TestPlace_SameKeyAtOnceMakesOneOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	key := uuid.NewString()
	answers := make([]*httptest.ResponseRecorder, 20)
	var calls []func()
	for i := range answers {
		calls = append(calls, func() { answers[i] = s.post(t, request(), key) })
	}
	race(calls...)

	ids := map[string]int{}
	for _, rec := range answers {
		switch rec.Code {
		case http.StatusAccepted:
			ids[decode[view](t, rec, http.StatusAccepted).ID]++
		case http.StatusConflict:
		default:
			t.Errorf("status %d: %s", rec.Code, rec.Body)
		}
	}
	if len(ids) != 1 {
		t.Errorf("orders answered: %v, want one", ids)
	}
	var stored, outbox int64
	s.db.Table("orders").Count(&stored)
	if stored != 1 {
		t.Errorf("%d orders stored", stored)
	}
	for id := range ids {
		s.wantTold(t, id, "order.created.v1")
	}
	if s.db.Table("outbox").Count(&outbox); outbox != 1 {
		t.Errorf("%d events wait in the outbox, want one deadline", outbox)
	}
}

// TestCancel_RacesWithDispatchAndDelivery : the row's lock decides who comes first, and the answer to the customer
// agrees with what the others are told.
func TestCancel_RacesWithDispatchAndDelivery(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	accepted := map[string]bool{}
	for range 20 {
		id := s.place(t)
		s.deliver(t, contracts.InventoryReserved{OrderID: id})
		s.deliver(t, contracts.PaymentProcessed{OrderID: id, PaymentID: "pi_1"})
		var answer *httptest.ResponseRecorder
		race(
			func() { answer = s.cancel(t, id) },
			func() { s.deliver(t, contracts.ShipmentDelivered{OrderID: id, ShipmentID: "sh_1"}) },
			func() { s.deliver(t, contracts.ShipmentDispatched{OrderID: id, ShipmentID: "sh_1", Tracking: "T"}) },
		)
		switch answer.Code {
		case http.StatusAccepted:
			accepted[id] = true
		case http.StatusConflict:
			accepted[id] = false
		default:
			t.Errorf("status %d: %s", answer.Code, answer.Body)
		}
		s.wantState(t, id, order.Completed)
	}
	for id, accepted := range accepted {
		told := s.told(t, id)
		if asked := slices.Contains(told, "order.cancel_requested.v1"); asked != accepted {
			t.Errorf("the customer was told accepted = %t, the others: %v", accepted, told)
		}
	}
}

func TestCancel_ManyAtOnceAskOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.place(t)
	cancel := func() {
		if rec := s.cancel(t, id); rec.Code != http.StatusAccepted {
			t.Errorf("status %d: %s", rec.Code, rec.Body)
		}
	}
	race(slices.Repeat([]func(){cancel}, 20)...)
	s.wantTold(t, id, "order.created.v1", "order.cancel_requested.v1")
}
