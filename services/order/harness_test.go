package order_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestMain(m *testing.M) { servicetest.Main(m) }

var template = servicetest.NewTemplate(order.New(nil, order.Timeouts{}).Definition())

// fixture is the order service under test.
type fixture struct {
	*servicetest.Harness
	service *order.Service
}

// newFixture has fans at 12.50 EUR and gloves at 19.99 EUR in its catalogue.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixtureWithDeadline(t, 15*time.Minute)
}

func newFixtureWithDeadline(t *testing.T, deadline time.Duration) *fixture {
	t.Helper()
	return newFixtureWith(t, order.Timeouts{Payment: deadline, Services: time.Hour, Carrier: time.Hour})
}

func newFixtureWith(t *testing.T, timeouts order.Timeouts, awaited ...string) *fixture {
	t.Helper()
	db := template.Open(t)
	service := order.New(db, timeouts, awaited...)
	s := &fixture{servicetest.Start(t, db, service.Definition()), service}
	s.Deliver(t,
		contracts.ProductCreated{SKU: "fan", Name: "Silk fan", Price: euros(1250), Version: 1},
		contracts.ProductCreated{SKU: "gloves", Name: "Gloves", Price: euros(1999), Version: 1})
	return s
}

func euros(cents int64) contracts.Money { return contracts.Money{Amount: cents, Currency: "EUR"} }

// request is a valid order. Tests change a copy.
func request() map[string]any {
	return map[string]any{
		"customerId": "c-1",
		"items":      []any{map[string]any{"sku": "fan", "quantity": 2}, map[string]any{"sku": "gloves", "quantity": 1}},
		"shippingAddress": map[string]any{
			"name": "Eve Example", "street": "1 Ballroom Lane", "city": "Vienna", "postalCode": "1010", "country": "AT",
		},
		"paymentMethod": "pm_card_visa",
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// view is the JSON of an order.
type view struct {
	ID         string
	CustomerID string
	State      order.State
	Reason     order.Reason
	Message    string
	Items      []order.Item
	Total      order.Money
	Payment    struct{ ID, DeclineCode string }
	Shipment   struct{ ID, Tracking string }
	History    []struct{ Event, Description string }
}

func (v view) count(event string) (n int) {
	for _, e := range v.History {
		if e.Event == event {
			n++
		}
	}
	return n
}

func (v view) events() []string {
	var types []string
	for _, e := range v.History {
		types = append(types, e.Event)
	}
	return types
}

func (s *fixture) post(t *testing.T, body map[string]any, key string) *httptest.ResponseRecorder {
	t.Helper()
	return s.Call(t, http.MethodPost, "/api/v1/orders", encode(t, body), "Idempotency-Key: "+key)
}

// place orders two fans and a pair of gloves, and returns the id of the order.
func (s *fixture) place(t *testing.T) string {
	t.Helper()
	return servicetest.Decode[view](t, s.post(t, request(), uuid.NewString()), http.StatusAccepted).ID
}

func (s *fixture) get(t *testing.T, id string) view {
	t.Helper()
	return servicetest.Decode[view](t, s.Get(t, "/api/v1/orders/"+id), http.StatusOK)
}

func (s *fixture) cancel(t *testing.T, id string) *httptest.ResponseRecorder {
	t.Helper()
	return s.Call(t, http.MethodPost, "/api/v1/orders/"+id+"/cancel", "")
}

func (s *fixture) wantState(t *testing.T, id string, want order.State) {
	t.Helper()
	if got := s.get(t, id).State; got != want {
		t.Errorf("order is %s, want %s", got, want)
	}
}
