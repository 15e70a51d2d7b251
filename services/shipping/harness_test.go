package shipping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
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

const secret = "whsec_test"

// depot is the service on a database of its own, with its real bus, a broker in memory in place of the others, and a
// carrier that can be told what to get wrong.
type depot struct {
	db      *gorm.DB
	tr      *eventstest.Transport
	carrier *fakeCarrier
	service *Service
	router  http.Handler
	stop    func() // the bus; returns once everything is published
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	fake := newFakeCarrier(t)
	return newDepotWith(t, fake, fake.client(t))
}

func newDepotWith(t *testing.T, fake *fakeCarrier, carrier *Carrier) *depot {
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
	d := &depot{db: db, tr: eventstest.NewTransport(), carrier: fake, service: New(db, carrier, secret)}
	bus, err := events.New(db, d.tr, events.Config{Events: events.Declarations(contracts.Events), Service: "shipping"}, Subscriptions(d.service)...)
	if err != nil {
		t.Fatal(err)
	}
	d.stop = eventstest.Start(t, bus)
	router := httpapi.NewRouter(httpapi.RouterConfig{Service: "shipping"})
	d.service.Routes(router)
	d.router = router
	return d
}

// What the others tell about order o.
var (
	order = contracts.OrderCreated{
		OrderID: "o", CustomerID: "c", Items: []contracts.Item{{SKU: "fan", Quantity: 2}},
		Total: contracts.Money{Amount: 1999, Currency: "EUR"}, ShippingAddress: contracts.Address(home),
	}
	paid             = contracts.PaymentProcessed{OrderID: "o", PaymentID: "pi_1"}
	customerCancels  = contracts.OrderCancelRequested{OrderID: "o", Reason: contracts.ReasonCustomer}
	deadlineCancels  = contracts.OrderCancelRequested{OrderID: "o", Reason: contracts.ReasonDeadline}
	orderIsCancelled = contracts.OrderCancelled{OrderID: "o", Reason: contracts.ReasonOutOfStock}
)

// What shipping tells about order o.
var (
	bookingStarted    = contracts.ShipmentBookingRequested{OrderID: "o"}
	cancelStarted     = contracts.ShipmentCancellationRequested{OrderID: "o"}
	booked            = contracts.ShipmentCreated{OrderID: "o", ShipmentID: "shp_o"}
	dispatched        = contracts.ShipmentDispatched{OrderID: "o", ShipmentID: "shp_o", Tracking: "QD1"}
	delivered         = contracts.ShipmentDelivered{OrderID: "o", ShipmentID: "shp_o"}
	refusedPaid       = contracts.ShipmentCancelRefused{OrderID: "o", Because: contracts.BecausePaid}
	refusedDispatched = contracts.ShipmentCancelRefused{OrderID: "o", Because: contracts.BecauseDispatched}
)

func cancelled(reason string) contracts.ShipmentCancelled {
	return contracts.ShipmentCancelled{OrderID: "o", Reason: reason}
}

// deliver hands events to their reactions, which must be done with each at the first attempt.
func (d *depot) deliver(t *testing.T, etos ...events.ETO) {
	t.Helper()
	for _, eto := range etos {
		if v := d.tr.Deliver(t, eto); v.Action != transport.Ack {
			t.Errorf("%s: verdict %+v", eto.EventType(), v)
		}
	}
}

// wantRow checks the state, and that no address is kept once the carrier has the parcel, or none can follow.
func (d *depot) wantRow(t *testing.T, state State) shipmentRow {
	t.Helper()
	r, err := findShipment(d.db, "o")
	if err != nil {
		t.Fatal(err)
	}
	if r.Shipment.State != state {
		t.Errorf("shipment is %s, want %s", r.Shipment.State, state)
	}
	if ended := state == Cancelled || state == Dispatched || state == Delivered || state == Failed; ended && r.Shipment.Address != nil {
		t.Errorf("the address is still kept while %s", state)
	}
	return r
}

// wantTold checks that exactly these events were published, in this order. The bus is stopped for it: that publishes
// what waits.
func (d *depot) wantTold(t *testing.T, want ...events.ETO) {
	t.Helper()
	d.stop()
	var wanted, got []string
	for _, eto := range want {
		data, err := json.Marshal(eto)
		if err != nil {
			t.Fatal(err)
		}
		wanted = append(wanted, eto.EventType()+" "+string(data))
	}
	for _, e := range d.tr.Published() {
		got = append(got, e.Type+" "+string(e.Data))
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// published waits until everything that was decided so far is published, and lists it.
func (d *depot) published(t *testing.T) []transport.Envelope {
	t.Helper()
	waitUntil(t, "the outbox is empty", func() bool {
		var left int64
		if err := d.db.Table("outbox").Count(&left).Error; err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
	return d.tr.Published()
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

func (d *depot) get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	d.router.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return rec
}

// post is a request of the carrier's.
func (d *depot) post(t *testing.T, body, signature string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/carrier", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if signature != "" {
		req.Header.Set("Carrier-Signature", signature)
	}
	d.router.ServeHTTP(rec, req)
	return rec
}

func notice(kind CarrierWebhookType, reference string) string {
	return `{"id":"n-` + string(kind) + `","type":"` + string(kind) + `","reference":"` + reference +
		`","shipmentId":"shp_` + reference + `","tracking":"QD1","occurredAt":"2026-01-02T03:04:05Z"}`
}

// report has the carrier report properly about order o, which must be taken.
func (d *depot) report(t *testing.T, kinds ...CarrierWebhookType) {
	t.Helper()
	for _, kind := range kinds {
		d.reportOf(t, "o", kind)
	}
}

// reportOf has the carrier report properly about an order, which must be taken.
func (d *depot) reportOf(t *testing.T, orderID string, kind CarrierWebhookType) {
	t.Helper()
	body := notice(kind, orderID)
	if rec := d.post(t, body, sign(secret, time.Now(), body)); rec.Code != http.StatusNoContent {
		t.Errorf("%s of %s: %d %s", kind, orderID, rec.Code, rec.Body)
	}
}
