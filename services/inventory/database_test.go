package inventory_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

// Events are acknowledged at the first attempt and requests succeed, whatever step a migration is at.
func TestMigration_UnderLoad(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 100_000)
	for _, table := range []string{"reservations", "products"} {
		servicetest.MigrateUnderLoad(t, s.DB, table, func(n int) {
			id := fmt.Sprintf("%s-%d", table, n)
			s.Deliver(t, order(id, item("fan", 1)))
			s.Deliver(t, contracts.PaymentFailed{OrderID: id})
			var product struct{ OnHand int }
			s.getJSON(t, "/api/v1/products/fan", &product)
			if rec := s.Call(t, http.MethodPost, "/api/v1/products/fan/restock", `{"quantity":1}`); rec.Code != http.StatusCreated {
				t.Errorf("restock: %d %s", rec.Code, rec.Body)
			}
		})
	}
}

// A product whose row a person holds in psql costs its orders no attempt, and its requests get 503 with Retry-After.
// Orders for other products proceed, although there are more events for the product than connections.
func TestLockedProduct_DelaysNoOtherProduct(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 100)
	s.stock(t, "gloves", 100)
	person := s.DB.Begin()
	if err := person.Exec("select from products where sku = 'fan' for update").Error; err != nil {
		t.Fatal(err)
	}
	servicetest.RaceN(40, func(i int) {
		if i%2 == 0 {
			s.Deliver(t, order(fmt.Sprintf("gloves-%d", i), item("gloves", 1)))
			return
		}
		outcome := s.Transport.Deliver(t, order(fmt.Sprintf("fan-%d", i), item("fan", 1)), eventstest.OnAttempt(6))
		if outcome.Action != transport.Retry || !outcome.Uncounted {
			t.Errorf("outcome %+v", outcome)
		}
	})
	rec := s.Call(t, http.MethodPost, "/api/v1/products/fan/restock", `{"quantity":1}`)
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
		t.Errorf("restock: %d, Retry-After %q", rec.Code, rec.Header().Get("Retry-After"))
	}
	if err := person.Rollback().Error; err != nil {
		t.Fatal(err)
	}
	s.Deliver(t, order("fan-1", item("fan", 1)))
	s.wantStock(t, "gloves", 100, 20)
	s.wantStock(t, "fan", 100, 1)
}
