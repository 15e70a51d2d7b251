package payment

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
	Entries struct{ Payments []map[string]any }
}

func TestBooks_ShowOperatorsEveryPaymentAndEvent(t *testing.T) {
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
	deliver(orderCreated("a-charged", "pm_card_visa"), reservedFor("a-charged"), chargeStartedFor("a-charged"))
	deliver(orderCreated("b-declined", "pm_card_chargeDeclined"), reservedFor("b-declined"), chargeStartedFor("b-declined"))
	deliver(orderCreated("c-refunded", "pm_card_visa"), reservedFor("c-refunded"), chargeStartedFor("c-refunded"),
		cancelledFor("c-refunded"), refundStartedFor("c-refunded"))
	deliver(orderCreated("d-refunding", "pm_card_visa"), reservedFor("d-refunding"), chargeStartedFor("d-refunding"), cancelledFor("d-refunding"))
	deliver(reservedFor("e-waiting"))
	deliver(cancelledFor("stuck"))

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

	if books.Service != "payment" || books.At.IsZero() || !books.Events.Audited || books.Events.ConsumedSince.IsZero() {
		t.Errorf("%+v", books)
	}
	line := func(id string, state State, amount Money, captured, refunded float64, intent string) map[string]any {
		return map[string]any{
			"orderId": id, "state": string(state), "captured": captured, "refunded": refunded, "paymentId": intent,
			"amount": map[string]any{"amount": float64(amount.Amount), "currency": amount.Currency},
		}
	}
	want := []map[string]any{
		line("a-charged", Charged, total, 1999, 0, "pi_1"),
		line("b-declined", Failed, total, 0, 0, "pi_2"),
		line("c-refunded", Refunded, total, 1999, 1999, "pi_3"),
		line("d-refunding", Refunding, total, 1999, 0, "pi_4"),
		line("e-waiting", Waiting, Money{}, 0, 0, ""),
		line("stuck", Voided, Money{}, 0, 0, ""),
	}
	if diff := cmp.Diff(want, books.Entries.Payments); diff != "" {
		t.Errorf("payments (-want +got):\n%s", diff)
	}
	wantEventBooks(t, books.Events, tr, contracts.PaymentVoided{OrderID: "stuck"}, []string{
		"inventory-reserved a-charged-1", "inventory-reserved b-declined-1", "inventory-reserved c-refunded-1",
		"inventory-reserved d-refunding-1", "inventory-reserved e-waiting-0",
		"order-created a-charged-0", "order-created b-declined-0", "order-created c-refunded-0", "order-created d-refunding-0",
		"payment-charge-requested a-charged-2", "payment-charge-requested b-declined-2", "payment-charge-requested c-refunded-2",
		"payment-charge-requested d-refunding-2", "payment-refund-requested c-refunded-4",
		"shipment-cancelled c-refunded-3", "shipment-cancelled d-refunding-3", "shipment-cancelled stuck-0",
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
