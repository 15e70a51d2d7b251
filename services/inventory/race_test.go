package inventory_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestRace_FiftyOrdersForTenUnits(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "violin", 10)

	servicetest.RaceN(50, func(i int) { s.Deliver(t, order(fmt.Sprintf("o-%d", i), item("violin", 1))) })

	s.wantStock(t, "violin", 10, 10)
	if got := s.states(t); got[inventory.Reserved] != 10 || got[inventory.Failed] != 40 {
		t.Errorf("orders by state: %v", got)
	}
	s.wantNoDeadlock(t)
}

func TestRace_OrdersInOppositeItemOrder(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	items := []contracts.Item{item("dance-shoes", 1), item("fan", 1), item("gloves", 1), item("score", 1)}
	for _, it := range items {
		s.stock(t, it.SKU, 100)
	}

	servicetest.RaceN(40, func(i int) {
		mine := slices.Clone(items)
		if i%2 == 1 {
			slices.Reverse(mine)
		}
		id := fmt.Sprintf("o-%d", i)
		s.Deliver(t, order(id, mine...))
		if i%4 == 0 {
			s.Deliver(t, contracts.PaymentFailed{OrderID: id})
		} else {
			s.Deliver(t, contracts.ShipmentDispatched{OrderID: id})
		}
	})

	for _, it := range items {
		s.wantStock(t, it.SKU, 70, 0)
	}
	s.wantNoDeadlock(t)
}

func TestRace_DuplicatesReserveOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 100)

	servicetest.RaceN(20, func(i int) { // the same event ten times, and ten times under other ids
		id := fmt.Sprintf("e-%d", max(0, i-10))
		s.DeliverWith(t, order("o-1", item("fan", 3)), eventstest.WithID(id))
	})

	s.wantStock(t, "fan", 100, 3)
	s.WantPublishedAbout(t, "o-1", contracts.InventoryReserved{OrderID: "o-1", Items: []contracts.Item{item("fan", 3)}})
	s.wantNoDeadlock(t)
}

func TestRace_CreatedAndVoided(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 100)

	servicetest.RaceN(20, func(i int) {
		if id := fmt.Sprintf("o-%d", i/2); i%2 == 0 {
			s.Deliver(t, order(id, item("fan", 1)))
		} else {
			s.Deliver(t, contracts.PaymentVoided{OrderID: id})
		}
	})

	s.wantStock(t, "fan", 100, 0)
	if got := s.states(t); got[inventory.Tombstone]+got[inventory.Released] != 10 {
		t.Errorf("orders by state: %v", got)
	}
	s.wantNoDeadlock(t)
}

func TestRace_ReleasesOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 100)
	s.Deliver(t, order("other", item("fan", 10)))
	s.Deliver(t, order("o-1", item("fan", 3)))

	servicetest.RaceN(12, func(i int) {
		switch i % 3 {
		case 0:
			s.Deliver(t, contracts.PaymentFailed{OrderID: "o-1"})
		case 1:
			s.Deliver(t, contracts.PaymentRefunded{OrderID: "o-1"})
		case 2:
			s.Deliver(t, contracts.PaymentVoided{OrderID: "o-1"})
		}
	})

	s.wantStock(t, "fan", 100, 10)
	s.WantPublishedAbout(t, "o-1",
		contracts.InventoryReserved{OrderID: "o-1", Items: []contracts.Item{item("fan", 3)}},
		contracts.InventoryReleased{OrderID: "o-1"})
	s.wantNoDeadlock(t)
}

func TestRace_RestockAndReserve(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 10)

	servicetest.RaceN(50, func(i int) {
		if i%5 == 0 {
			s.stock(t, "fan", 2)
		} else {
			s.Deliver(t, order(fmt.Sprintf("o-%d", i), item("fan", 1)))
		}
	})

	reserved := s.states(t)[inventory.Reserved]
	if reserved < 10 || reserved > 30 {
		t.Errorf("%d orders have a unit reserved, of 10 to 30 units", reserved)
	}
	s.wantStock(t, "fan", 30, reserved)
	s.wantNoDeadlock(t)
}

func TestRace_DeleteAndReserve(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	skus := []string{"dance-shoes", "fan", "gloves", "score", "violin"}
	for _, sku := range skus {
		s.stock(t, sku, 1)
	}

	deleted := make([]bool, len(skus))
	servicetest.RaceN(2*len(skus), func(i int) {
		if n := i / 2; i%2 == 0 {
			s.Deliver(t, order("o-"+skus[n], item(skus[n], 1)))
		} else {
			deleted[n] = s.Call(t, "DELETE", "/api/v1/products/"+skus[n], "").Code == 204
		}
	})

	for n, sku := range skus {
		reserved := s.state(t, "o-"+sku) == inventory.Reserved
		if reserved == deleted[n] {
			t.Errorf("%s: deleted %t and reserved %t, want either", sku, deleted[n], reserved)
		}
	}
	s.wantNoDeadlock(t)
}

func TestRace_ConcurrentPutsCreateOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t)

	codes := make([]int, 20)
	servicetest.RaceN(len(codes), func(i int) {
		codes[i] = s.Call(t, "PUT", "/api/v1/products/fan", `{"name":"Silk fan","price":{"amount":1999,"currency":"EUR"}}`).Code
	})

	slices.Sort(codes)
	if codes[0] != 200 || codes[18] != 200 || codes[19] != 201 {
		t.Errorf("answers %v, want one 201 and else 200", codes)
	}
	s.WantPublishedAbout(t, "fan", contracts.ProductCreated{
		SKU: "fan", Name: "Silk fan", Price: contracts.Money{Amount: 1999, Currency: "EUR"}, Version: 1,
	})
}

func TestRace_ConcurrentSeedsFillOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t)

	servicetest.RaceN(4, func(int) {
		if err := s.service.Seed(t.Context()); err != nil {
			t.Error(err)
		}
	})
	s.remove(t, "fan")
	s.Deliver(t, order("o-1", item("violin", 1)))
	if err := s.service.Seed(t.Context()); err != nil { // after a restart
		t.Fatal(err)
	}

	s.wantStock(t, "dance-shoes", 1000, 0)
	s.wantStock(t, "violin", 1, 1)
	s.wantStock(t, "chandelier", 0, 0)
	if got := s.Call(t, "GET", "/api/v1/products/fan", "").Code; got != 404 {
		t.Errorf("the product that was deleted came back: %d", got)
	}
	if got := len(s.PublishedAbout(t, "violin")); got != 1 {
		t.Errorf("the violin was published %d times", got)
	}
}
