package inventory_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestMain(m *testing.M) { servicetest.Main(m) }

var template = servicetest.NewTemplate(inventory.New(nil).Definition())

// fixture is the inventory service under test.
type fixture struct {
	*servicetest.Harness
	service   *inventory.Service
	deadlocks atomic.Int32
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	db := template.Open(t)
	s := &fixture{service: inventory.New(db)}
	s.watchForDeadlocks(t, db)
	s.Harness = servicetest.Start(t, db, s.service.Definition())
	return s
}

// watchForDeadlocks inspects the result of every statement. Without it a deadlock would go unnoticed, because the bus
// repeats a transaction that the database has aborted.
func (s *fixture) watchForDeadlocks(t *testing.T, db *gorm.DB) {
	t.Helper()
	look := func(db *gorm.DB) {
		const deadlockDetected = "40P01"
		if pgErr, ok := errors.AsType[*pgconn.PgError](db.Error); ok && pgErr.Code == deadlockDetected {
			s.deadlocks.Add(1)
		}
	}
	callbacks := db.Callback()
	if err := errors.Join(
		callbacks.Create().After("gorm:create").Register("test:deadlock", look),
		callbacks.Query().After("gorm:query").Register("test:deadlock", look),
		callbacks.Update().After("gorm:update").Register("test:deadlock", look),
	); err != nil {
		t.Fatal(err)
	}
}

func (s *fixture) wantNoDeadlock(t *testing.T) {
	t.Helper()
	if n := s.deadlocks.Load(); n > 0 {
		t.Errorf("%d deadlocks", n)
	}
}

func item(sku string, quantity int) contracts.Item {
	return contracts.Item{SKU: sku, Quantity: quantity}
}

func order(id string, items ...contracts.Item) contracts.OrderCreated {
	return contracts.OrderCreated{
		OrderID: id, CustomerID: "c-1", Items: items, Total: contracts.Money{Amount: 4200, Currency: "EUR"},
	}
}

// getJSON sends a GET request, which must succeed.
func (s *fixture) getJSON(t *testing.T, path string, into any) {
	t.Helper()
	rec := s.Get(t, path)
	if rec.Code != http.StatusOK {
		t.Errorf("GET %s: %d %s", path, rec.Code, rec.Body)
		return
	}
	if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil {
		t.Errorf("GET %s: %v", path, err)
	}
}

// stock creates the product and restocks it.
func (s *fixture) stock(t *testing.T, sku string, quantity int) {
	t.Helper()
	path := "/api/v1/products/" + sku
	put := s.Call(t, http.MethodPut, path, `{"name":"The `+sku+`","price":{"amount":1999,"currency":"EUR"}}`)
	if put.Code != http.StatusCreated && put.Code != http.StatusOK {
		t.Errorf("PUT %s: %d %s", path, put.Code, put.Body)
	}
	body, _ := json.Marshal(map[string]int{"quantity": quantity})
	if rec := s.Call(t, http.MethodPost, path+"/restock", string(body)); rec.Code != http.StatusCreated {
		t.Errorf("POST %s/restock: %d %s", path, rec.Code, rec.Body)
	}
}

func (s *fixture) remove(t *testing.T, sku string) {
	t.Helper()
	if rec := s.Call(t, http.MethodDelete, "/api/v1/products/"+sku, ""); rec.Code != http.StatusNoContent {
		t.Errorf("DELETE %s: %d %s", sku, rec.Code, rec.Body)
	}
}

func (s *fixture) wantStock(t *testing.T, sku string, onHand, reserved int) {
	t.Helper()
	type stock struct{ OnHand, Reserved, Available int }
	var got stock
	s.getJSON(t, "/api/v1/products/"+sku, &got)
	if want := (stock{onHand, reserved, onHand - reserved}); got != want {
		t.Errorf("stock of %s: %+v, want %+v", sku, got, want)
	}
}

func (s *fixture) state(t *testing.T, orderID string) inventory.State {
	t.Helper()
	var got struct{ State inventory.State }
	s.getJSON(t, "/api/v1/reservations/"+orderID, &got)
	return got.State
}

func (s *fixture) wantState(t *testing.T, orderID string, want inventory.State) {
	t.Helper()
	if got := s.state(t, orderID); got != want {
		t.Errorf("reservation of %s is %s, want %s", orderID, got, want)
	}
}

// states counts the reservations by state.
func (s *fixture) states(t *testing.T) map[inventory.State]int {
	t.Helper()
	var states []inventory.State
	if err := s.DB.Table("reservations").Pluck("state", &states).Error; err != nil {
		t.Error(err)
	}
	count := map[inventory.State]int{}
	for _, state := range states {
		count[state]++
	}
	return count
}
