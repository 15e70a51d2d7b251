package inventory_test

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
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
	"github.com/quadrille-dev/quadrille/services/inventory"
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
	db, err := openDatabase(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(inventory.Migrate(ctx, db), database.Close(db))
})

func openDatabase(ctx context.Context, url string) (*gorm.DB, error) {
	return database.Open(ctx, url, database.Options{})
}

// shop is the service on a database of its own, with its real bus, and a broker in memory in place of the others.
type shop struct {
	db        *gorm.DB
	tr        *eventstest.Transport
	svc       *inventory.Service
	router    http.Handler
	stop      func() // the bus; returns once everything is published
	deadlocks atomic.Int32
}

func newShop(t *testing.T) *shop {
	t.Helper()
	db, err := openDatabase(t.Context(), migrated.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Close(db); err != nil {
			t.Error(err)
		}
	})
	s := &shop{db: db, tr: eventstest.NewTransport(), svc: inventory.New(db)}
	s.watchForDeadlocks(t)
	bus, err := events.New(db, s.tr, events.Config{Events: events.Declarations(contracts.Events), Service: "inventory"}, inventory.Subscriptions(s.svc)...)
	if err != nil {
		t.Fatal(err)
	}
	s.stop = eventstest.Start(t, bus)
	router := httpapi.NewRouter(httpapi.RouterConfig{Service: "inventory"})
	s.svc.Routes(router)
	s.router = router
	return s
}

// watchForDeadlocks looks at the outcome of every statement: the bus would repeat a transaction that the database
// chose as the victim of a deadlock, so that nobody else would notice.
func (s *shop) watchForDeadlocks(t *testing.T) {
	t.Helper()
	look := func(db *gorm.DB) {
		const deadlockDetected = "40P01"
		if pgErr, ok := errors.AsType[*pgconn.PgError](db.Error); ok && pgErr.Code == deadlockDetected {
			s.deadlocks.Add(1)
		}
	}
	callbacks := s.db.Callback()
	if err := errors.Join(
		callbacks.Create().After("gorm:create").Register("test:deadlock", look),
		callbacks.Query().After("gorm:query").Register("test:deadlock", look),
		callbacks.Update().After("gorm:update").Register("test:deadlock", look),
	); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) wantNoDeadlock(t *testing.T) {
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

// get is a GET that must succeed.
func (s *shop) get(t *testing.T, path string, into any) {
	t.Helper()
	rec := s.call(t, http.MethodGet, path, "")
	if rec.Code != http.StatusOK {
		t.Errorf("GET %s: %d %s", path, rec.Code, rec.Body)
		return
	}
	if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil {
		t.Errorf("GET %s: %v", path, err)
	}
}

// stock puts the product and supplies it.
func (s *shop) stock(t *testing.T, sku string, quantity int) {
	t.Helper()
	path := "/api/v1/products/" + sku
	put := s.call(t, http.MethodPut, path, `{"name":"The `+sku+`","price":{"amount":1999,"currency":"EUR"}}`)
	if put.Code != http.StatusCreated && put.Code != http.StatusOK {
		t.Errorf("PUT %s: %d %s", path, put.Code, put.Body)
	}
	body, _ := json.Marshal(map[string]int{"quantity": quantity})
	if rec := s.call(t, http.MethodPost, path+"/restock", string(body)); rec.Code != http.StatusCreated {
		t.Errorf("POST %s/restock: %d %s", path, rec.Code, rec.Body)
	}
}

func (s *shop) remove(t *testing.T, sku string) {
	t.Helper()
	if rec := s.call(t, http.MethodDelete, "/api/v1/products/"+sku, ""); rec.Code != http.StatusNoContent {
		t.Errorf("DELETE %s: %d %s", sku, rec.Code, rec.Body)
	}
}

func (s *shop) wantStock(t *testing.T, sku string, onHand, reserved int) {
	t.Helper()
	type stock struct{ OnHand, Reserved, Available int }
	var got stock
	s.get(t, "/api/v1/products/"+sku, &got)
	if want := (stock{onHand, reserved, onHand - reserved}); got != want {
		t.Errorf("stock of %s: %+v, want %+v", sku, got, want)
	}
}

func (s *shop) state(t *testing.T, orderID string) inventory.State {
	t.Helper()
	var got struct{ State inventory.State }
	s.get(t, "/api/v1/reservations/"+orderID, &got)
	return got.State
}

func (s *shop) wantState(t *testing.T, orderID string, want inventory.State) {
	t.Helper()
	if got := s.state(t, orderID); got != want {
		t.Errorf("reservation of %s is %s, want %s", orderID, got, want)
	}
}

// states counts the reservations by state.
func (s *shop) states(t *testing.T) map[inventory.State]int {
	t.Helper()
	var states []inventory.State
	if err := s.db.Table("reservations").Pluck("state", &states).Error; err != nil {
		t.Error(err)
	}
	count := map[inventory.State]int{}
	for _, state := range states {
		count[state]++
	}
	return count
}

// told lists everything that was published about the subject. The bus is stopped for it: that publishes what waits.
func (s *shop) told(t *testing.T, subject string) []transport.Envelope {
	t.Helper()
	s.stop()
	return slices.DeleteFunc(s.tr.Published(), func(e transport.Envelope) bool { return e.Subject != subject })
}

// wantTold checks that exactly these events were published about the subject, in this order.
func (s *shop) wantTold(t *testing.T, subject string, want ...events.ETO) {
	t.Helper()
	var wanted, got []string
	for _, eto := range want {
		data, err := json.Marshal(eto)
		if err != nil {
			t.Fatal(err)
		}
		wanted = append(wanted, eto.EventType()+" "+string(data))
	}
	for _, e := range s.told(t, subject) {
		got = append(got, e.Type+" "+string(e.Data))
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("told about %s (-want +got)\n%s", subject, diff)
	}
}
