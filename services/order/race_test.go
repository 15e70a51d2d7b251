package order_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestPlace_ConcurrentRepeatsPlaceOneOrder(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	key := uuid.NewString()
	answers := make([]*httptest.ResponseRecorder, 20)
	var calls []func()
	for i := range answers {
		calls = append(calls, func() { answers[i] = s.post(t, request(), key) })
	}
	servicetest.Race(calls...)

	ids := map[string]int{}
	for _, rec := range answers {
		switch rec.Code {
		case http.StatusAccepted:
			ids[servicetest.Decode[view](t, rec, http.StatusAccepted).ID]++
		case http.StatusConflict:
		default:
			t.Errorf("status %d: %s", rec.Code, rec.Body)
		}
	}
	if len(ids) != 1 {
		t.Errorf("orders answered: %v, want one", ids)
	}
	var stored, outbox int64
	s.DB.Table("orders").Count(&stored)
	if stored != 1 {
		t.Errorf("%d orders stored", stored)
	}
	for id := range ids {
		s.WantPublishedTypes(t, id, "order.created.v1")
	}
	if s.DB.Table("outbox").Count(&outbox); outbox != 1 {
		t.Errorf("%d events wait in the outbox, want one deadline", outbox)
	}
}

// The row's lock decides which comes first, and the response to the customer agrees with the published events.
func TestCancel_RacesWithDispatchAndDelivery(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	accepted := map[string]bool{}
	for range 20 {
		id := s.place(t)
		s.Deliver(t, contracts.InventoryReserved{OrderID: id})
		s.Deliver(t, contracts.PaymentProcessed{OrderID: id, PaymentID: "pi_1"})
		var response *httptest.ResponseRecorder
		servicetest.Race(
			func() { response = s.cancel(t, id) },
			func() { s.Deliver(t, contracts.ShipmentDelivered{OrderID: id, ShipmentID: "sh_1"}) },
			func() { s.Deliver(t, contracts.ShipmentDispatched{OrderID: id, ShipmentID: "sh_1", Tracking: "T"}) },
		)
		switch response.Code {
		case http.StatusAccepted:
			accepted[id] = true
		case http.StatusConflict:
			accepted[id] = false
		default:
			t.Errorf("status %d: %s", response.Code, response.Body)
		}
		s.wantState(t, id, order.Completed)
	}
	for id, accepted := range accepted {
		published := s.PublishedTypes(t, id)
		if asked := slices.Contains(published, "order.cancel_requested.v1"); asked != accepted {
			t.Errorf("accepted = %t, but published %v", accepted, published)
		}
	}
}

func TestCancel_ConcurrentRequestsPublishOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	id := s.place(t)
	cancel := func() {
		if rec := s.cancel(t, id); rec.Code != http.StatusAccepted {
			t.Errorf("status %d: %s", rec.Code, rec.Body)
		}
	}
	servicetest.Race(slices.Repeat([]func(){cancel}, 20)...)
	s.WantPublishedTypes(t, id, "order.created.v1", "order.cancel_requested.v1")
}
