package order_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestMain(m *testing.M) {
	testservers.Main(m)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// migrated has every table that the service needs.
var migrated = testservers.NewTemplate(func(ctx context.Context, url string) error {
	db, err := open(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(order.Migrate(ctx, db), database.Close(db))
})

func open(ctx context.Context, url string) (*gorm.DB, error) {
	return database.Open(ctx, url, database.Options{})
}

// shop is the service on a database of its own, with its real bus, and a broker in memory in place of the others.
type shop struct {
	db      *gorm.DB
	tr      *eventstest.Transport
	service *order.Service
	router  http.Handler
	stop    func() // the bus; returns once everything that is due is published
}

const opsToken = "operators"

// newShop has fans at 12.50 EUR and gloves at 19.99 EUR in its catalogue.
func newShop(t *testing.T) *shop {
	t.Helper()
	return newShopWithDeadline(t, 15*time.Minute)
}

func newShopWithDeadline(t *testing.T, deadline time.Duration) *shop {
	t.Helper()
	return newShopWith(t, order.Timeouts{Payment: deadline, Services: time.Hour, Carrier: time.Hour})
}

func newShopWith(t *testing.T, patience order.Timeouts) *shop {
	t.Helper()
	db, err := open(t.Context(), migrated.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Close(db); err != nil {
			t.Error(err)
		}
	})
	s := &shop{db: db, tr: eventstest.NewTransport()}
	svc := order.New(db, patience)
	s.service = svc
	bus, err := events.New(db, s.tr, events.Config{Events: events.Declarations(contracts.Events), Service: "order"}, order.Subscriptions(svc)...)
	if err != nil {
		t.Fatal(err)
	}
	s.stop = eventstest.Start(t, bus)
	router := httpapi.NewRouter(httpapi.RouterConfig{Service: "order", OpsToken: opsToken})
	svc.Routes(router)
	s.router = router

	s.deliver(t, contracts.ProductCreated{SKU: "fan", Name: "Silk fan", Price: euros(1250), Version: 1})
	s.deliver(t, contracts.ProductCreated{SKU: "gloves", Name: "Gloves", Price: euros(1999), Version: 1})
	return s
}

func euros(cents int64) contracts.Money { return contracts.Money{Amount: cents, Currency: "EUR"} }

// deliver hands the event to its reaction, which must be done with it at the first attempt.
func (s *shop) deliver(t *testing.T, eto events.ETO, opts ...eventstest.DeliverOption) {
	t.Helper()
	if v := s.tr.Deliver(t, eto, opts...); v.Action != transport.Ack {
		t.Errorf("%s about %s: verdict %+v", eto.EventType(), eto.Subject(), v)
	}
}

// call is one HTTP request. Headers are "Name: value".
func (s *shop) call(t *testing.T, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	s.router.ServeHTTP(rec, req)
	return rec
}

// request is a good order. Tests spoil a copy.
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

// view is what the service shows of an order.
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

func decode[T any](t *testing.T, rec *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var v T
	if rec.Code != status {
		t.Fatalf("status %d, want %d: %s", rec.Code, status, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v: %s", err, rec.Body)
	}
	return v
}

func (s *shop) post(t *testing.T, body map[string]any, key string) *httptest.ResponseRecorder {
	t.Helper()
	return s.call(t, http.MethodPost, "/api/v1/orders", encode(t, body), "Idempotency-Key: "+key)
}

// place orders two fans and a pair of gloves and answers the order's id.
func (s *shop) place(t *testing.T) string {
	t.Helper()
	return decode[view](t, s.post(t, request(), uuid.NewString()), http.StatusAccepted).ID
}

func (s *shop) get(t *testing.T, id string) view {
	t.Helper()
	return decode[view](t, s.call(t, http.MethodGet, "/api/v1/orders/"+id, ""), http.StatusOK)
}

// ops asks what operators ask.
func (s *shop) ops(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	return s.call(t, http.MethodGet, "/ops"+path, "", "Authorization: Bearer "+opsToken)
}

func (s *shop) cancel(t *testing.T, id string) *httptest.ResponseRecorder {
	t.Helper()
	return s.call(t, http.MethodPost, "/api/v1/orders/"+id+"/cancel", "")
}

func (s *shop) wantState(t *testing.T, id string, want order.State) {
	t.Helper()
	if got := s.get(t, id).State; got != want {
		t.Errorf("order is %s, want %s", got, want)
	}
}

func (s *shop) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// told lists the types of everything that was published about the subject. The bus is stopped for it: that publishes
// what is due.
func (s *shop) told(t *testing.T, subject string) []string {
	t.Helper()
	s.stop()
	var types []string
	for _, e := range s.tr.Published() {
		if e.Subject == subject {
			types = append(types, e.Type)
		}
	}
	return types
}

func (s *shop) wantTold(t *testing.T, subject string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, s.told(t, subject)); diff != "" {
		t.Errorf("told about %s (-want +got)\n%s", subject, diff)
	}
}

// wantProblem checks that the answer is a problem with this status that names these fields, in any order.
func wantProblem(t *testing.T, rec *httptest.ResponseRecorder, status int, fields ...string) {
	t.Helper()
	if got := rec.Header().Get("Content-Type"); rec.Code != status || !strings.HasPrefix(got, "application/problem+json") {
		t.Errorf("status %d as %s, want a problem with %d: %s", rec.Code, got, status, rec.Body)
		return
	}
	var problem struct {
		Type   string
		Errors []struct{ Field, Detail string }
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || problem.Type == "" {
		t.Errorf("not a problem: %s", rec.Body)
	}
	var named []string
	for _, e := range problem.Errors {
		named = append(named, e.Field)
	}
	slices.Sort(fields)
	slices.Sort(named)
	if diff := cmp.Diff(fields, named); len(fields) > 0 && diff != "" {
		t.Errorf("fields (-want +got)\n%s", diff)
	}
}
