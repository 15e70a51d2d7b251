package order_test

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestHappyPath_PublishesOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	id := s.place(t)
	for _, step := range []struct {
		event events.ETO
		state order.State
	}{
		{contracts.InventoryReserved{OrderID: id}, order.Reserved},
		{contracts.PaymentProcessed{OrderID: id, PaymentID: "pi_1", Amount: euros(4499)}, order.Paid},
		{contracts.ShipmentCreated{OrderID: id, ShipmentID: "sh_1"}, order.Paid},
		{contracts.ShipmentDispatched{OrderID: id, ShipmentID: "sh_1", Tracking: "T-42"}, order.Shipped},
		{contracts.ShipmentDelivered{OrderID: id, ShipmentID: "sh_1"}, order.Completed},
	} {
		s.Deliver(t, step.event)
		s.wantState(t, id, step.state)
	}

	got := s.get(t, id)
	if got.Payment.ID != "pi_1" || got.Shipment.ID != "sh_1" || got.Shipment.Tracking != "T-42" || got.Reason != "" {
		t.Errorf("order = %+v", got)
	}
	if diff := cmp.Diff([]string{
		"order.created.v1", "inventory.reserved.v1", "payment.processed.v1", "order.confirmed.v1", "shipment.created.v1",
		"shipment.dispatched.v1", "shipment.delivered.v1", "order.completed.v1",
	}, got.events()); diff != "" {
		t.Errorf("history (-want +got)\n%s", diff)
	}
	s.WantPublishedTypes(t, id, "order.created.v1", "order.confirmed.v1", "order.completed.v1")
}

func TestRefusals_CancelOrderWithReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		events func(id string) []events.ETO
		reason order.Reason
		words  string
		want   []string
	}{
		{
			"out of stock", func(id string) []events.ETO {
				return []events.ETO{contracts.InventoryReservationFailed{OrderID: id, Shortages: []contracts.Shortage{
					{SKU: "fan", Requested: 2, Available: 1}, {SKU: "gloves", Requested: 1},
				}}}
			}, order.OutOfStock, "not enough in stock: fan, 2 requested, 1 available; gloves, 1 requested, 0 available",
			[]string{"order.created.v1", "order.cancelled.v1"},
		},
		{
			"card declined", func(id string) []events.ETO {
				return []events.ETO{
					contracts.InventoryReserved{OrderID: id},
					contracts.PaymentFailed{OrderID: id, Code: "insufficient_funds"},
					contracts.InventoryReleased{OrderID: id},
				}
			}, order.CardDeclined, "the card was declined: insufficient_funds",
			[]string{"order.created.v1", "order.cancelled.v1"},
		},
		{
			"undeliverable", func(id string) []events.ETO {
				return []events.ETO{
					contracts.InventoryReserved{OrderID: id},
					contracts.PaymentProcessed{OrderID: id, PaymentID: "pi_1"},
					contracts.ShipmentFailed{OrderID: id, Detail: "no such street"},
					contracts.PaymentRefunded{OrderID: id, Reason: contracts.ReasonUndeliverable},
				}
			}, order.Undeliverable, "the carrier cannot deliver to this address: no such street",
			[]string{"order.created.v1", "order.confirmed.v1", "order.cancelled.v1"},
		},
		{"voided", func(id string) []events.ETO {
			return []events.ETO{contracts.PaymentVoided{OrderID: id, Reason: contracts.ReasonDeadline}}
		}, order.ByDeadline, "the order will not be charged", []string{"order.created.v1", "order.cancelled.v1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			id := s.place(t)
			for _, e := range c.events(id) {
				s.Deliver(t, e)
			}
			got := s.get(t, id)
			if got.State != order.Cancelled || got.Reason != c.reason {
				t.Errorf("order is %s because of %q, want cancelled because of %q", got.State, got.Reason, c.reason)
			}
			var words []string
			for _, e := range got.History {
				words = append(words, e.Description)
			}
			if !strings.Contains(strings.Join(words, "\n"), c.words) {
				t.Errorf("history %q lacks %q", words, c.words)
			}
			s.WantPublishedTypes(t, id, c.want...)
			var cancelled contracts.OrderCancelled
			for _, e := range s.Transport.Published() {
				if e.Type == cancelled.EventType() {
					cancelled = eventstest.Decode[contracts.OrderCancelled](t, e)
				}
			}
			if cancelled.Reason != string(c.reason) {
				t.Errorf("order.cancelled has %q", cancelled.Reason)
			}
		})
	}
}

// TestHandlers_EndIndependentOfEventOrder delivers a story's events shuffled and concurrently, some twice under one id
// and some under another.
func TestHandlers_EndIndependentOfEventOrder(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for range 10 {
		id := s.place(t)
		story := []events.ETO{
			contracts.InventoryReserved{OrderID: id},
			contracts.PaymentProcessed{OrderID: id, PaymentID: "pi_1"},
			contracts.ShipmentCreated{OrderID: id, ShipmentID: "sh_1"},
			contracts.ShipmentDispatched{OrderID: id, ShipmentID: "sh_1", Tracking: "T-42"},
			contracts.ShipmentDelivered{OrderID: id, ShipmentID: "sh_1"},
		}
		var deliveries []func()
		for _, e := range story {
			first := eventstest.WithID(uuid.NewString())
			deliveries = append(deliveries,
				func() { s.DeliverWith(t, e, first) }, func() { s.DeliverWith(t, e, first) }, func() { s.Deliver(t, e) })
		}
		rand.Shuffle(len(deliveries), func(i, j int) { deliveries[i], deliveries[j] = deliveries[j], deliveries[i] })
		servicetest.Race(deliveries...)

		got := s.get(t, id)
		if got.State != order.Completed || got.Shipment.Tracking != "T-42" || got.Payment.ID != "pi_1" {
			t.Errorf("order = %+v", got)
		}
		counts := map[string]int{}
		for _, e := range got.events() {
			counts[e]++
		}
		if counts["order.confirmed.v1"] != 1 || counts["order.completed.v1"] != 1 {
			t.Errorf("counts: %v", counts)
		}
		if counts["shipment.delivered.v1"] != 2 { // two ids; the repetition of the first left no trace
			t.Errorf("history: %v", counts)
		}
	}
}

func TestLateEvents_KeepOrderCancelled(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	id := s.place(t)
	s.Deliver(t, contracts.PaymentFailed{OrderID: id, Code: "generic_decline"})
	s.Deliver(t, contracts.InventoryReserved{OrderID: id})
	s.Deliver(t, contracts.OrderPaymentDeadlinePassed{OrderID: id})
	s.Deliver(t, contracts.PaymentFailed{OrderID: id, Code: "generic_decline"})
	s.wantState(t, id, order.Cancelled)
	s.WantPublishedTypes(t, id, "order.created.v1", "order.cancelled.v1")
}

func TestOrder_UnknownIsDeadLettered(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	id := uuid.NewString()
	for _, e := range []events.ETO{
		contracts.InventoryReserved{OrderID: id},
		contracts.PaymentVoided{OrderID: id},
		contracts.ShipmentDelivered{OrderID: id},
		contracts.OrderPaymentDeadlinePassed{OrderID: id},
		contracts.ShipmentFailed{OrderID: "no\x00id"},
	} {
		if v := s.Transport.Deliver(t, e); v.Action != transport.DeadLetter || v.Reason != transport.ReasonPermanent {
			t.Errorf("%s: outcome %+v, want dead at once", e.EventType(), v)
		}
	}
	servicetest.WantProblem(t, s.Call(t, http.MethodGet, "/api/v1/orders/"+id, ""), http.StatusNotFound)
	s.WantPublishedTypes(t, id)
}

func TestCancelRefused_UnknownReason(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	id := s.place(t)
	if v := s.Transport.Deliver(t, contracts.ShipmentCancelRefused{OrderID: id, Because: "raining"}); v.Action != transport.DeadLetter {
		t.Errorf("outcome %+v", v)
	}
	s.wantState(t, id, order.Pending)
}

func TestDeadline_CancelsUnpaidOrder(t *testing.T) {
	t.Parallel()
	s := newFixtureWithDeadline(t, time.Millisecond)
	id := s.place(t)
	s.Transport.WaitFor(t, "order.payment_deadline_passed.v1", id)
	s.Deliver(t, contracts.InventoryReserved{OrderID: id})
	s.Deliver(t, contracts.OrderPaymentDeadlinePassed{OrderID: id})
	if got := s.get(t, id); got.State != order.Cancelling || got.Reason != order.ByDeadline {
		t.Errorf("order = %+v", got)
	}
	asked := eventstest.Decode[contracts.OrderCancelRequested](t, s.Transport.WaitFor(t, "order.cancel_requested.v1", id))
	if asked.Reason != contracts.ReasonDeadline {
		t.Errorf("asked because of %q", asked.Reason)
	}

	s.Deliver(t, contracts.ShipmentCancelRefused{OrderID: id, Because: contracts.BecausePaid})
	s.wantState(t, id, order.Paid)
}

func TestDeadline_IsScheduled(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	id := s.place(t)
	s.Transport.WaitFor(t, "order.created.v1", id)
	s.WantPublishedTypes(t, id, "order.created.v1")
	var waiting int64
	if err := s.DB.Table("outbox").Count(&waiting).Error; err != nil || waiting != 1 {
		t.Errorf("%d events wait in the outbox (%v), want the deadline", waiting, err)
	}
}

func TestDeadline_KeepsPaidOrder(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	id := s.place(t)
	s.Deliver(t, contracts.PaymentProcessed{OrderID: id, PaymentID: "pi_1"})
	before := s.get(t, id)
	s.Deliver(t, contracts.OrderPaymentDeadlinePassed{OrderID: id})
	if diff := cmp.Diff(before, s.get(t, id)); diff != "" {
		t.Error(diff)
	}
	s.WantPublishedTypes(t, id, "order.created.v1", "order.confirmed.v1")
}

func TestProducts_NewestVersionWins(t *testing.T) {
	t.Parallel()
	price := func(t *testing.T, s *fixture) int64 {
		t.Helper()
		body := request()
		body["items"] = []any{map[string]any{"sku": "lute", "quantity": 1}}
		rec := s.post(t, body, uuid.NewString())
		if rec.Code == http.StatusUnprocessableEntity {
			return 0
		}
		return servicetest.Decode[view](t, rec, http.StatusAccepted).Total.Amount
	}
	created := contracts.ProductCreated{SKU: "lute", Name: "Lute", Price: euros(100), Version: 1}
	updated := contracts.ProductUpdated{SKU: "lute", Name: "Lute", Price: euros(200), Version: 2}
	deleted := contracts.ProductDeleted{SKU: "lute", Version: 3}
	again := contracts.ProductCreated{SKU: "lute", Name: "Lute", Price: euros(400), Version: 4}
	for _, c := range []struct {
		name   string
		events []events.ETO
		price  int64 // 0: cannot be ordered
	}{
		{"in order", []events.ETO{created, updated}, 200},
		{"update first", []events.ETO{updated, created}, 200},
		{"deleted", []events.ETO{created, updated, deleted}, 0},
		{"deleted first", []events.ETO{deleted, updated, created}, 0},
		{"back again", []events.ETO{created, deleted, again}, 400},
		{"back again, in reverse", []events.ETO{again, deleted, updated, created}, 400},
		{"repeated", []events.ETO{created, updated, created, updated}, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			for _, e := range c.events {
				s.Deliver(t, e)
			}
			if got := price(t, s); got != c.price {
				t.Errorf("price = %d, want %d", got, c.price)
			}
		})
	}
}

func TestOrder_KeepsPrice(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	id := s.place(t)
	s.Deliver(t, contracts.ProductUpdated{SKU: "fan", Name: "Silk fan", Price: euros(9999), Version: 2})
	s.Deliver(t, contracts.InventoryReserved{OrderID: id})
	if got := s.get(t, id).Total; got != (order.Money{Amount: 4499, Currency: "EUR"}) {
		t.Errorf("total = %v", got)
	}
}
