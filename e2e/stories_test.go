package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

func TestHappyPath_DeliversAndChargesOnce(t *testing.T) {
	t.Parallel()
	sku := shop.stock(t, "dance-shoes", 5)
	id := shop.place(t, orderOf(sku, 2))

	o := shop.await(t, id, "completed")
	if o.Total != (money{2 * 1999, "EUR"}) {
		t.Errorf("total is %+v", o.Total)
	}
	var seen []string
	for _, h := range o.History {
		seen = append(seen, strings.TrimSuffix(h.Event, ".v1"))
	}
	for _, event := range []string{"inventory.reserved", "payment.processed", "shipment.dispatched", "shipment.delivered"} {
		if !slices.Contains(seen, event) {
			t.Errorf("the history lacks %s: %v", event, seen)
		}
	}
	assertMoney(t, id, 1, 2*1999)
	assertParcel(t, id, "delivered")
	assertStock(t, sku, 3)
	assertBooks(t, id)
	assertTrace(t, id, "delivered")
	for _, url := range []string{
		shop.Payment + "/api/v1/payments/" + id,
		shop.Shipping + "/api/v1/shipments/" + id,
		shop.Inventory + "/api/v1/reservations/" + id,
	} {
		shop.must(t, http.StatusOK, http.MethodGet, url, nil)
	}
}

func TestOutOfStock_CancelsWithoutCharge(t *testing.T) {
	t.Parallel()
	plenty, scarce := shop.stock(t, "fan", 5), shop.stock(t, "violin", 1)
	req := orderOf(plenty, 1)
	req.Items = append(req.Items, item{scarce, 2})
	id := shop.place(t, req)

	if o := shop.await(t, id, "cancelled"); o.Reason != "out_of_stock" {
		t.Errorf("reason is %q", o.Reason)
	}
	assertMoney(t, id, 0, 0)
	assertParcel(t, id, "")
	assertStock(t, plenty, 5)
	assertStock(t, scarce, 1)
	assertBooks(t, id)
	assertTrace(t, id, "out of stock")
}

func TestDeclinedCard_ReleasesTheStock(t *testing.T) {
	t.Parallel()
	sku := shop.stock(t, "gloves", 3)
	req := orderOf(sku, 3)
	req.PaymentMethod = declined
	id := shop.place(t, req)

	if o := shop.await(t, id, "cancelled"); o.Reason != "card_declined" {
		t.Errorf("reason is %q", o.Reason)
	}
	assertMoney(t, id, 0, 0)
	assertParcel(t, id, "")
	assertStock(t, sku, 3)
	assertBooks(t, id)
	assertTrace(t, id, "declined")
}

func TestUndeliverableAddress_GivesTheMoneyBack(t *testing.T) {
	t.Parallel()
	sku := shop.stock(t, "carnet", 2)
	req := orderOf(sku, 2)
	req.ShippingAddress.PostalCode = "00000"
	id := shop.place(t, req)

	o := shop.await(t, id, "cancelled")
	if o.Reason != "undeliverable" || !strings.Contains(o.Message, "got your money back") {
		t.Errorf("reason %q, message %q", o.Reason, o.Message)
	}
	assertMoney(t, id, 1, 0)
	assertParcel(t, id, "")
	assertStock(t, sku, 2)
	assertBooks(t, id)
	assertTrace(t, id, "undeliverable")
}

func TestSameRequestTwice_IsOneOrder(t *testing.T) {
	t.Parallel()
	sku := shop.stock(t, "score", 10)
	req, key := orderOf(sku, 1), uuid.NewString()

	// A barrier: all at once. The first wins; the others are told to wait, or get its answer.
	var (
		start, done sync.WaitGroup
		answers     = make([]answer, 20)
		errs        = make([]error, len(answers))
	)
	start.Add(1)
	for i := range answers {
		done.Go(func() {
			start.Wait()
			answers[i], errs[i] = shop.do(http.MethodPost, shop.Order+"/api/v1/orders", req, "Idempotency-Key", key)
		})
	}
	start.Done()
	done.Wait()
	ids := map[string]bool{}
	for i, a := range answers {
		switch {
		case errs[i] != nil:
			t.Error(errs[i])
		case a.status == http.StatusAccepted:
			var o orderView
			a.decode(t, &o)
			ids[o.ID] = true
		case a.status != http.StatusConflict:
			t.Errorf("status %d: %s", a.status, a.body)
		}
	}
	if len(ids) != 1 {
		t.Fatalf("%d orders for one request", len(ids))
	}
	replay := shop.must(t, http.StatusAccepted, http.MethodPost, shop.Order+"/api/v1/orders", req, "Idempotency-Key", key)
	if replay.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("a replay does not say so: %v", replay.header)
	}
	other := req
	other.CustomerID = "somebody-else"
	shop.must(t, http.StatusUnprocessableEntity, http.MethodPost, shop.Order+"/api/v1/orders", other, "Idempotency-Key", key)
	for id := range ids {
		shop.await(t, id, "completed")
		assertMoney(t, id, 1, 1999)
		assertBooks(t, id)
		assertTrace(t, id, "delivered")
	}
}

func TestWrongInput_NamesTheFieldAndOrdersNothing(t *testing.T) {
	t.Parallel()
	sku := shop.stock(t, "candle", 5)
	for name, c := range map[string]struct {
		change func(*orderRequest)
		field  string
	}{
		"unknown product": {func(r *orderRequest) { r.Items[0].SKU = "no-such-product" }, "items[0].sku"},
		"zero quantity":   {func(r *orderRequest) { r.Items[0].Quantity = 0 }, "items[0].quantity"},
		"minus one":       {func(r *orderRequest) { r.Items[0].Quantity = -1 }, "items[0].quantity"},
		"nothing ordered": {func(r *orderRequest) { r.Items = nil }, "items"},
		"no customer":     {func(r *orderRequest) { r.CustomerID = "" }, "customerId"},
		"no card":         {func(r *orderRequest) { r.PaymentMethod = "" }, "paymentMethod"},
		"no city":         {func(r *orderRequest) { r.ShippingAddress.City = "" }, "shippingAddress.city"},
		"too many":        {func(r *orderRequest) { r.Items = slices.Repeat(r.Items, 1000) }, "items"},
	} {
		t.Run(name, func(t *testing.T) {
			req := orderOf(sku, 1)
			c.change(&req)
			a := shop.must(t, http.StatusUnprocessableEntity, http.MethodPost, shop.Order+"/api/v1/orders", req, "Idempotency-Key", uuid.NewString())
			if !bytes.Contains(a.body, []byte(c.field)) {
				t.Errorf("%s is not named: %s", c.field, a.body)
			}
			if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "application/problem+json") {
				t.Errorf("content type is %q", got)
			}
			var list struct {
				Items []orderView `json:"items"`
			}
			if req.CustomerID != "" {
				shop.must(t, http.StatusOK, http.MethodGet, shop.Order+"/api/v1/orders?customerId="+req.CustomerID, nil).decode(t, &list)
				if len(list.Items) != 0 {
					t.Errorf("a refused request left an order: %+v", list)
				}
			}
		})
	}
	shop.must(t, http.StatusBadRequest, http.MethodPost, shop.Order+"/api/v1/orders", orderOf(sku, 1)) // no Idempotency-Key
	shop.must(t, http.StatusNotFound, http.MethodGet, shop.Order+"/api/v1/orders/"+uuid.NewString(), nil)
}

func TestForgedCarrierNotice_IsRefused(t *testing.T) {
	t.Parallel()
	notice := map[string]any{
		"id": uuid.NewString(), "type": "shipment.delivered", "reference": uuid.NewString(), "shipmentId": "x",
		"tracking": "x", "occurredAt": "2026-01-01T00:00:00Z",
	}
	url := shop.Shipping + "/webhooks/carrier"
	shop.must(t, http.StatusUnauthorized, http.MethodPost, url, notice)
	shop.must(t, http.StatusUnauthorized, http.MethodPost, url, notice, "Carrier-Signature", "t=1767225600,v1=00")
}

// assertMoney checks what the processor did for an order: this many captures, and this much kept of them.
func assertMoney(t *testing.T, order string, captures int, kept int64) {
	t.Helper()
	intents := shop.intents(t)[order]
	captured, net := 0, int64(0)
	for _, i := range intents {
		captured += i.Captures
		net += i.net()
	}
	if captured != captures || net != kept {
		t.Errorf("order %s: %d captures, %d kept, want %d and %d: %+v", order, captured, net, captures, kept, intents)
	}
}

// assertParcel checks what the carrier did for an order; "" is nothing at all.
func assertParcel(t *testing.T, order, state string) {
	t.Helper()
	parcels := shop.parcels(t)[order]
	if state == "" && len(parcels) == 0 {
		return
	}
	if len(parcels) != 1 || parcels[0].State != state {
		t.Errorf("order %s: parcels %+v, want one %s", order, parcels, state)
	}
}

// assertStock waits until this much of the product is on hand, and none of it reserved.
func assertStock(t *testing.T, sku string, onHand int) {
	t.Helper()
	var p product
	shop.eventually(t, "the stock is settled", func() bool {
		p = shop.product(t, sku)
		return p.OnHand == onHand && p.Reserved == 0
	}, func() string { return fmt.Sprintf("%+v", p) })
}

// assertBooks has the ledger check everything about these orders, once nothing about them is under way.
func assertBooks(t *testing.T, orders ...string) {
	t.Helper()
	if report, err := shop.ledger("--order", strings.Join(orders, ",")); err != nil {
		t.Errorf("the ledger is off: %v\n%s", err, report)
	}
}

// ledger waits until nothing is under way and checks the books of everybody, as an operator would.
func (s *Shop) ledger(args ...string) (report string, err error) {
	cmd := exec.Command(s.Quadrille, append([]string{"ledger", "--settled", "--wait", patience.String()}, args...)...)
	cmd.Env = s.ledgerEnvironment()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *Shop) ledgerEnvironment() []string {
	return append(os.Environ(),
		"ORDER_URL="+s.Order, "INVENTORY_URL="+s.Inventory, "PAYMENT_URL="+s.Payment, "SHIPPING_URL="+s.Shipping,
		"PROCESSOR_OPS_URL="+s.Processor, "CARRIER_OPS_URL="+s.Carrier, "OPS_TOKEN="+s.Token,
		"AMQP_URL="+s.Servers.Broker["monitor"], "AMQP_CA_FILE="+s.Servers.CAFile, "BROKER_OPS_URL="+s.Broker, "RETRY_DELAYS="+s.RetryLadder)
}
