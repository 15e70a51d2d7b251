package inventory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/services/inventory"
)

func TestOrderCreated_ReservesEveryItem(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 5)
	s.stock(t, "score", 2)

	s.Deliver(t, order("o-1", item("score", 2), item("fan", 1), item("fan", 1)))

	s.wantStock(t, "fan", 5, 2)
	s.wantStock(t, "score", 2, 2)
	s.wantState(t, "o-1", inventory.Reserved)
	s.WantPublishedAbout(t, "o-1", contracts.InventoryReserved{
		OrderID: "o-1", Items: []contracts.Item{item("fan", 2), item("score", 2)},
	})
}

func TestOrderCreated_ShortageReservesNothing(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 5)
	s.stock(t, "score", 2)
	s.stock(t, "lute", 3)
	s.remove(t, "lute")

	s.Deliver(t, order("o-1", item("fan", 1), item("lute", 1), item("score", 3), item("unknown", 1)))

	s.wantStock(t, "fan", 5, 0)
	s.wantStock(t, "score", 2, 0)
	s.wantState(t, "o-1", inventory.Failed)
	s.WantPublishedAbout(t, "o-1", contracts.InventoryReservationFailed{OrderID: "o-1", Shortages: []contracts.Shortage{
		{SKU: "lute", Requested: 1, Available: 0},
		{SKU: "score", Requested: 3, Available: 2},
		{SKU: "unknown", Requested: 1, Available: 0},
	}})
}

func TestOrderCreated_RespectsOtherReservations(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 5)

	s.Deliver(t, order("o-1", item("fan", 4)))
	s.Deliver(t, order("o-2", item("fan", 2)))

	s.wantStock(t, "fan", 5, 4)
	s.WantPublishedAbout(t, "o-2", contracts.InventoryReservationFailed{OrderID: "o-2", Shortages: []contracts.Shortage{
		{SKU: "fan", Requested: 2, Available: 1},
	}})
}

func TestOrderCreated_InvalidEventIsDeadLettered(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 5)

	v := s.Transport.Deliver(t, order("o-1", item("fan", -3)))

	if v.Action != transport.DeadLetter || v.Reason != transport.ReasonPermanent {
		t.Errorf("outcome %+v", v)
	}
	s.wantStock(t, "fan", 5, 0)
	s.WantPublishedAbout(t, "o-1")
}

func TestPaymentEnd_ReleasesOnce(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]events.ETO{
		"failed":   contracts.PaymentFailed{OrderID: "o-1", Code: "card_declined"},
		"refunded": contracts.PaymentRefunded{OrderID: "o-1"},
		"voided":   contracts.PaymentVoided{OrderID: "o-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.stock(t, "fan", 5)
			s.Deliver(t, order("other", item("fan", 1)))
			s.Deliver(t, order("o-1", item("fan", 3)))

			s.DeliverWith(t, ends, eventstest.WithID("again")) // the same event twice, and once more under another id
			s.DeliverWith(t, ends, eventstest.WithID("again"))
			s.Deliver(t, ends)

			s.wantStock(t, "fan", 5, 1)
			s.wantState(t, "o-1", inventory.Released)
			s.WantPublishedAbout(t, "o-1",
				contracts.InventoryReserved{OrderID: "o-1", Items: []contracts.Item{item("fan", 3)}},
				contracts.InventoryReleased{OrderID: "o-1"})
		})
	}
}

func TestPaymentVoided_BeforeOrderStoresTombstone(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 5)

	s.Deliver(t, contracts.PaymentVoided{OrderID: "o-1"})
	s.Deliver(t, order("o-1", item("fan", 3)))

	s.wantStock(t, "fan", 5, 0)
	s.wantState(t, "o-1", inventory.Tombstone)
	s.WantPublishedAbout(t, "o-1")
}

func TestShipmentDispatched_DeductsStockOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 5)
	s.stock(t, "score", 2)
	s.Deliver(t, order("o-1", item("score", 1), item("fan", 3)))

	s.Deliver(t, contracts.ShipmentDispatched{OrderID: "o-1"})
	s.Deliver(t, contracts.ShipmentDispatched{OrderID: "o-1"})
	s.Deliver(t, contracts.PaymentRefunded{OrderID: "o-1"}) // too late to come back

	s.wantStock(t, "fan", 2, 0)
	s.wantStock(t, "score", 1, 0)
	s.wantState(t, "o-1", inventory.Committed)
	s.WantPublishedAbout(t, "o-1", contracts.InventoryReserved{
		OrderID: "o-1", Items: []contracts.Item{item("fan", 3), item("score", 1)},
	})
}

func TestHandler_RollsBackOnError(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 5)
	if err := s.DB.Exec("ALTER TABLE products ADD CONSTRAINT broken CHECK (reserved < 2)").Error; err != nil {
		t.Fatal(err)
	}

	v := s.Transport.Deliver(t, order("o-1", item("fan", 3)), eventstest.WithID("e"))

	if v.Action != transport.Retry {
		t.Errorf("a database that refuses must be a failure, not %+v", v)
	}
	if err := s.DB.Exec("ALTER TABLE products DROP CONSTRAINT broken").Error; err != nil {
		t.Fatal(err)
	}
	s.DeliverWith(t, order("o-1", item("fan", 3)), eventstest.WithID("e"), eventstest.OnAttempt(2))
	s.wantStock(t, "fan", 5, 3)
	s.WantPublishedAbout(t, "o-1", contracts.InventoryReserved{OrderID: "o-1", Items: []contracts.Item{item("fan", 3)}})
}

func TestProducts_PublishVersions(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 1)
	s.remove(t, "fan")
	s.stock(t, "fan", 1)

	price := contracts.Money{Amount: 1999, Currency: "EUR"}
	s.WantPublishedAbout(t, "fan",
		contracts.ProductCreated{SKU: "fan", Name: "The fan", Price: price, Version: 1},
		contracts.ProductDeleted{SKU: "fan", Version: 2},
		contracts.ProductCreated{SKU: "fan", Name: "The fan", Price: price, Version: 3})
	for i, e := range s.PublishedAbout(t, "fan") {
		if want := string(rune('1' + i)); e.Sequence != want {
			t.Errorf("event %d has sequence %q, want %q", i, e.Sequence, want)
		}
	}
}

func TestSubscriptions_WithoutService(t *testing.T) {
	t.Parallel()
	topology, err := events.NewTopology(events.Config{Events: events.Declarations(contracts.Events), Service: "inventory"}, inventory.Subscriptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, q := range topology.Queues {
		got = append(got, q.String()+" "+q.Type)
	}
	want := []string{
		"inventory.order-created order.created.v1",
		"inventory.payment-failed payment.failed.v1",
		"inventory.payment-refunded payment.refunded.v1",
		"inventory.payment-voided payment.voided.v1",
		"inventory.shipment-dispatched shipment.dispatched.v1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
