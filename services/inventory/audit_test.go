package inventory_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/audit"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/services/inventory"
)

// readBook is what an operator reads.
type readBook struct {
	Service string
	At      time.Time
	Events  audit.Snapshot
	Entries struct{ Products, Reservations []map[string]any }
}

func TestBooks_ShowOperatorsAllStockAndEvents(t *testing.T) {
	t.Parallel()
	url, tr, _ := serve(t, func(cfg *inventory.Config) { cfg.OpsToken, cfg.Audit = "operators", true })
	tr.Outcome(func(m transport.Message) error { // the broker does not want what is told about this order
		if m.Subject == "stuck" {
			return transport.ErrRejected
		}
		return nil
	})
	for _, sku := range []string{"fan", "lute"} {
		send(t, http.MethodPut, url+"/api/v1/products/"+sku, silkFan)
		send(t, http.MethodPost, url+"/api/v1/products/"+sku+"/restock", `{"quantity":9}`)
	}
	send(t, http.MethodPost, url+"/api/v1/products/fan/restock", `{"quantity":1}`)
	send(t, http.MethodDelete, url+"/api/v1/products/lute", "")
	deliver := func(etos ...events.ETO) {
		for i, eto := range etos {
			id := fmt.Sprintf("%s-%d", eto.Subject(), i)
			if v := tr.Deliver(t, eto, eventstest.WithID(id)); v.Action != transport.Ack {
				t.Errorf("%s: verdict %+v", eto.EventType(), v)
			}
		}
	}
	deliver(order("a-committed", item("fan", 3)), contracts.ShipmentDispatched{OrderID: "a-committed"})
	deliver(order("b-failed", item("lute", 1)))
	deliver(order("c-released", item("fan", 7)), contracts.PaymentFailed{OrderID: "c-released"})
	deliver(contracts.PaymentVoided{OrderID: "d-tombstone"})
	deliver(order("stuck", item("fan", 2)))

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

	if books.Service != "inventory" || books.At.IsZero() || !books.Events.Audited || books.Events.ConsumedSince.IsZero() {
		t.Errorf("%+v", books)
	}
	products := []map[string]any{
		{"sku": "fan", "received": 10.0, "onHand": 7.0, "reserved": 2.0, "deleted": false},
		{"sku": "lute", "received": 9.0, "onHand": 9.0, "reserved": 0.0, "deleted": true},
	}
	if diff := cmp.Diff(products, books.Entries.Products); diff != "" {
		t.Errorf("products (-want +got):\n%s", diff)
	}
	line := func(id string, state inventory.State, items ...any) map[string]any {
		return map[string]any{"orderId": id, "state": string(state), "items": append([]any{}, items...)}
	}
	of := func(sku string, quantity float64) any { return map[string]any{"sku": sku, "quantity": quantity} }
	reservations := []map[string]any{
		line("a-committed", inventory.Committed, of("fan", 3)),
		line("b-failed", inventory.Failed, of("lute", 1)),
		line("c-released", inventory.Released, of("fan", 7)),
		line("d-tombstone", inventory.Tombstone),
		line("stuck", inventory.Reserved, of("fan", 2)),
	}
	if diff := cmp.Diff(reservations, books.Entries.Reservations); diff != "" {
		t.Errorf("reservations (-want +got):\n%s", diff)
	}
	left := contracts.InventoryReserved{OrderID: "stuck"}
	wantEventBooks(t, books.Events, tr, left, []string{
		"order-created a-committed-0", "order-created b-failed-0", "order-created c-released-0", "order-created stuck-0",
		"payment-failed c-released-1", "payment-voided d-tombstone-0", "shipment-dispatched a-committed-1",
	})
}

// send is one HTTP request over the network, which must succeed.
func send(t *testing.T, method, url, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		t.Errorf("%s %s: %s", method, url, answer.Status)
	}
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
