package shipping

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/audit"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// readBook is what an operator reads.
type readBook struct {
	Service string
	At      time.Time
	Events  audit.Snapshot
	Entries struct{ Shipments []map[string]any }
}

func TestBooks_ShowOperatorsEveryShipmentAndEvent(t *testing.T) {
	t.Parallel()
	url, tr, _ := serve(t, func(cfg *Config) { cfg.OpsToken, cfg.Audit = "operators", true })
	tr.Outcome(func(m transport.Message) error { // the broker does not want what is told about this order
		if m.Subject == "stuck" {
			return transport.ErrRejected
		}
		return nil
	})
	deliver := func(etos ...events.ETO) {
		for i, eto := range etos {
			id := fmt.Sprintf("%s-%d", eto.Subject(), i)
			if v := tr.Deliver(t, eto, eventstest.WithID(id)); v.Action != transport.Ack {
				t.Errorf("%s: verdict %+v", eto.EventType(), v)
			}
		}
	}
	deliver(orderFor("a-booked"), paidFor("a-booked"), bookingStartedFor("a-booked"))
	deliver(orderFor("b-cancelling"), paidFor("b-cancelling"), bookingStartedFor("b-cancelling"), customerCancelsFor("b-cancelling"))
	deliver(paidFor("c-waiting"))
	deliver(customerCancelsFor("stuck"))

	for _, token := range []string{"", "guess"} {
		if status, _ := getBooks(t, url, token); status != http.StatusUnauthorized {
			t.Errorf("with token %q: status %d", token, status)
		}
	}
	var books readBook
	waitUntil(t, "only what is stuck is left in the outbox", func() bool {
		status, body := getBooks(t, url, "operators")
		books = readBook{}
		if err := json.Unmarshal(body, &books); err != nil || status != http.StatusOK {
			t.Fatalf("status %d, %v: %s", status, err, body)
		}
		return len(books.Events.Outbox) == 1
	})

	if books.Service != "shipping" || books.At.IsZero() || !books.Events.Audited || books.Events.ConsumedSince.IsZero() {
		t.Errorf("%+v", books)
	}
	want := []map[string]any{
		{"orderId": "a-booked", "state": "booked", "shipmentId": "shp_a-booked"},
		{"orderId": "b-cancelling", "state": "cancelling", "shipmentId": "shp_b-cancelling"},
		{"orderId": "c-waiting", "state": "waiting", "shipmentId": ""},
		{"orderId": "stuck", "state": "cancelled", "shipmentId": ""},
	}
	if diff := cmp.Diff(want, books.Entries.Shipments); diff != "" {
		t.Errorf("shipments (-want +got):\n%s", diff)
	}
	wantEventBooks(t, books.Events, tr, contracts.ShipmentCancelled{OrderID: "stuck"}, []string{
		"order-cancel-requested b-cancelling-3", "order-cancel-requested stuck-0", "order-created a-booked-0",
		"order-created b-cancelling-0", "payment-processed a-booked-1", "payment-processed b-cancelling-1",
		"payment-processed c-waiting-0", "shipment-booking-requested a-booked-2", "shipment-booking-requested b-cancelling-2",
	})
}

// wantEventBooks checks that what is left in the outbox is one event, that all that the broker has is listed as
// published, and which reactions have taken what.
func wantEventBooks(t *testing.T, books audit.Snapshot, tr *eventstest.Transport, left events.ETO, taken []string) {
	t.Helper()
	if o := books.Outbox; o[0].Type != left.EventType() || o[0].Subject != left.Subject() || o[0].ID == "" {
		t.Errorf("in the outbox: %+v", o)
	}
	var sent, listed, took []string
	for _, e := range tr.Published() {
		sent = append(sent, e.ID+" "+e.Type+" "+e.Subject)
	}
	for _, e := range books.Published {
		listed = append(listed, e.ID+" "+e.Type+" "+e.Subject)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(sent)), slices.Sorted(slices.Values(listed))); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	for _, e := range books.Consumed {
		took = append(took, e.Handler+" "+e.EventID)
	}
	if diff := cmp.Diff(taken, slices.Sorted(slices.Values(took))); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
}

func getBooks(t *testing.T, url, token string) (status int, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/ops/audit", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, body
}
