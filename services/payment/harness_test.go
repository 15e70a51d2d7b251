package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(logged))
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
	return errors.Join(Migrate(ctx, db), database.Close(db))
})

func open(ctx context.Context, url string) (*gorm.DB, error) {
	return database.Open(ctx, url, database.Options{MaxConns: 10})
}

// till is the service on a database of its own, with its real bus, a broker in memory in place of the others, and a
// processor that can be told what to get wrong.
type till struct {
	db        *gorm.DB
	tr        *eventstest.Transport
	processor *fakeProcessor
	router    http.Handler
	stop      func() // the bus; returns once everything is published
}

func newTill(t *testing.T) *till {
	t.Helper()
	fake := newFakeProcessor(t)
	return newTillWith(t, fake, fake.gateway(t))
}

func newTillWith(t *testing.T, fake *fakeProcessor, gateway *Gateway) *till {
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
	tl := &till{db: db, tr: eventstest.NewTransport(), processor: fake}
	svc := New(db, gateway)
	bus, err := events.New(db, tl.tr, events.Config{Events: events.Declarations(contracts.Events), Service: "payment"}, Subscriptions(svc)...)
	if err != nil {
		t.Fatal(err)
	}
	tl.stop = eventstest.Start(t, bus)
	router := httpapi.NewRouter(httpapi.RouterConfig{Service: "payment"})
	svc.Routes(router)
	tl.router = router
	return tl
}

func orderCreated(id, method string) contracts.OrderCreated {
	return contracts.OrderCreated{
		OrderID: id, CustomerID: "c", Items: []contracts.Item{{SKU: "fan", Quantity: 1}},
		Total: contracts.Money{Amount: total.Amount, Currency: total.Currency}, PaymentMethod: method,
	}
}

// What the others tell about order o.
var (
	reserved       = contracts.InventoryReserved{OrderID: "o"}
	cancelled      = contracts.ShipmentCancelled{OrderID: "o", Reason: contracts.ReasonCustomer}
	undeliverable  = contracts.ShipmentFailed{OrderID: "o", Detail: "no such place"}
	orderCancelled = contracts.OrderCancelled{OrderID: "o", Reason: contracts.ReasonOutOfStock}
)

// What payment tells about order o.
var (
	chargeStarted = contracts.PaymentChargeRequested{OrderID: "o"}
	refundStarted = contracts.PaymentRefundRequested{OrderID: "o"}
	processed     = contracts.PaymentProcessed{OrderID: "o", PaymentID: "pi_1", Amount: contracts.Money(total)}
	declined      = contracts.PaymentFailed{OrderID: "o", Code: "generic_decline"}
)

func refunded(reason string) contracts.PaymentRefunded {
	return contracts.PaymentRefunded{OrderID: "o", Amount: contracts.Money(total), Reason: reason}
}

func voided(reason string) contracts.PaymentVoided {
	return contracts.PaymentVoided{OrderID: "o", Reason: reason}
}

// deliver hands events to their reactions, which must be done with each at the first attempt.
func (tl *till) deliver(t *testing.T, etos ...events.ETO) {
	t.Helper()
	for _, eto := range etos {
		if v := tl.tr.Deliver(t, eto); v.Action != transport.Ack {
			t.Errorf("%s: verdict %+v", eto.EventType(), v)
		}
	}
}

// charging brings order o to where its charge is to be made.
func (tl *till) charging(t *testing.T, method string) {
	t.Helper()
	tl.deliver(t, orderCreated("o", method), reserved)
}

// wantRow checks the state, and that a card is kept only as long as a charge can follow.
func (tl *till) wantRow(t *testing.T, state State) paymentRow {
	t.Helper()
	r, err := findPayment(tl.db, "o")
	if err != nil {
		t.Fatal(err)
	}
	if r.Payment.State != state {
		t.Errorf("payment is %s, want %s", r.Payment.State, state)
	}
	if p := r.toPayment(); r.Payment.PaymentMethod != "" && state != Waiting && !p.ShouldCharge() {
		t.Errorf("the card is still kept while %s", state)
	}
	return r
}

// wantTold checks that exactly these events were published, in this order. The bus is stopped for it: that publishes
// what waits.
func (tl *till) wantTold(t *testing.T, want ...events.ETO) {
	t.Helper()
	tl.stop()
	var wanted, got []string
	for _, eto := range want {
		data, err := json.Marshal(eto)
		if err != nil {
			t.Fatal(err)
		}
		wanted = append(wanted, eto.EventType()+" "+string(data))
	}
	for _, e := range tl.tr.Published() {
		got = append(got, e.Type+" "+string(e.Data))
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// toldTypes lists the types of what was published about the order.
func (tl *till) toldTypes(orderID string) []string {
	var types []string
	for _, e := range tl.tr.Published() {
		if e.Subject == orderID {
			types = append(types, e.Type)
		}
	}
	return slices.Sorted(slices.Values(types))
}

// published waits until everything that was decided so far is published, and lists it.
func (tl *till) published(t *testing.T) []transport.Envelope {
	t.Helper()
	waitUntil(t, "the outbox is empty", func() bool {
		var left int64
		if err := tl.db.Table("outbox").Count(&left).Error; err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
	return tl.tr.Published()
}

// waitUntil blocks until done, which is asked again and again. It ends the test if that takes half a minute.
func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	again, late := time.NewTicker(2*time.Millisecond), time.After(30*time.Second)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("waited too long until %s", what)
		}
	}
}

func (tl *till) get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	tl.router.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return rec
}
