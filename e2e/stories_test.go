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

func TestOrder_IsChargedOnceAndDelivered(t *testing.T) {
	t.Parallel()
	sku := stack.addProduct(t, "dance-shoes", 5)
	id := stack.place(t, newOrder(sku, 2))

	o := stack.await(t, id, "completed")
	if o.Total != (money{2 * 1999, "EUR"}) {
		t.Errorf("total is %+v", o.Total)
	}
	var events []string
	for _, h := range o.History {
		events = append(events, strings.TrimSuffix(h.Event, ".v1"))
	}
	for _, event := range []string{"inventory.reserved", "payment.processed", "shipment.dispatched", "shipment.delivered"} {
		if !slices.Contains(events, event) {
			t.Errorf("the history lacks %s: %v", event, events)
		}
	}
	assertMoney(t, id, 1, 2*1999)
	assertParcel(t, id, "delivered")
	assertStock(t, sku, 3)
	assertReconciled(t, id)
	assertTrace(t, id, "delivered")
	for _, url := range []string{
		stack.Payment + "/api/v1/payments/" + id,
		stack.Shipping + "/api/v1/shipments/" + id,
		stack.Inventory + "/api/v1/reservations/" + id,
	} {
		stack.must(t, http.StatusOK, http.MethodGet, url, nil)
	}
}

func TestOutOfStock_CancelsWithoutCharge(t *testing.T) {
	t.Parallel()
	plenty, scarce := stack.addProduct(t, "fan", 5), stack.addProduct(t, "violin", 1)
	req := newOrder(plenty, 1)
	req.Items = append(req.Items, item{scarce, 2})
	id := stack.place(t, req)

	if o := stack.await(t, id, "cancelled"); o.Reason != "out_of_stock" {
		t.Errorf("reason is %q", o.Reason)
	}
	assertMoney(t, id, 0, 0)
	assertParcel(t, id, "")
	assertStock(t, plenty, 5)
	assertStock(t, scarce, 1)
	assertReconciled(t, id)
	assertTrace(t, id, "out of stock")
}

func TestDeclinedCard_ReleasesStock(t *testing.T) {
	t.Parallel()
	sku := stack.addProduct(t, "gloves", 3)
	req := newOrder(sku, 3)
	req.PaymentMethod = declined
	id := stack.place(t, req)

	if o := stack.await(t, id, "cancelled"); o.Reason != "card_declined" {
		t.Errorf("reason is %q", o.Reason)
	}
	assertMoney(t, id, 0, 0)
	assertParcel(t, id, "")
	assertStock(t, sku, 3)
	assertReconciled(t, id)
	assertTrace(t, id, "declined")
}

func TestUndeliverableAddress_RefundsCharge(t *testing.T) {
	t.Parallel()
	sku := stack.addProduct(t, "carnet", 2)
	req := newOrder(sku, 2)
	req.ShippingAddress.PostalCode = "00000"
	id := stack.place(t, req)

	o := stack.await(t, id, "cancelled")
	if o.Reason != "undeliverable" || !strings.Contains(o.Message, "got your money back") {
		t.Errorf("reason %q, message %q", o.Reason, o.Message)
	}
	assertMoney(t, id, 1, 0)
	assertParcel(t, id, "")
	assertStock(t, sku, 2)
	assertReconciled(t, id)
	assertTrace(t, id, "undeliverable")
}

func TestIdempotencyKey_RepeatedRequestIsOneOrder(t *testing.T) {
	t.Parallel()
	sku := stack.addProduct(t, "score", 10)
	req, key := newOrder(sku, 1), uuid.NewString()

	// A barrier: all requests at once. The first one creates the order; the remaining ones are rejected, or get the same response.
	var (
		start, done sync.WaitGroup
		responses   = make([]response, 20)
		errs        = make([]error, len(responses))
	)
	start.Add(1)
	for i := range responses {
		done.Go(func() {
			start.Wait()
			responses[i], errs[i] = stack.do(http.MethodPost, stack.Order+"/api/v1/orders", req, "Idempotency-Key", key)
		})
	}
	start.Done()
	done.Wait()
	ids := map[string]bool{}
	for i, r := range responses {
		switch {
		case errs[i] != nil:
			t.Error(errs[i])
		case r.status == http.StatusAccepted:
			var o orderView
			r.decode(t, &o)
			ids[o.ID] = true
		case r.status != http.StatusConflict:
			t.Errorf("status %d: %s", r.status, r.body)
		}
	}
	if len(ids) != 1 {
		t.Fatalf("%d orders for one request", len(ids))
	}
	replay := stack.must(t, http.StatusAccepted, http.MethodPost, stack.Order+"/api/v1/orders", req, "Idempotency-Key", key)
	if replay.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the header Idempotency-Replayed of a replay is missing: %v", replay.header)
	}
	other := req
	other.CustomerID = "another-customer"
	stack.must(t, http.StatusUnprocessableEntity, http.MethodPost, stack.Order+"/api/v1/orders", other, "Idempotency-Key", key)
	for id := range ids {
		stack.await(t, id, "completed")
		assertMoney(t, id, 1, 1999)
		assertReconciled(t, id)
		assertTrace(t, id, "delivered")
	}
}

func TestInvalidOrder_NamesFieldAndStoresNothing(t *testing.T) {
	t.Parallel()
	sku := stack.addProduct(t, "candle", 5)
	for name, c := range map[string]struct {
		change func(*orderRequest)
		field  string
	}{
		"unknown product": {func(r *orderRequest) { r.Items[0].SKU = "no-such-product" }, "items[0].sku"},
		"zero quantity":   {func(r *orderRequest) { r.Items[0].Quantity = 0 }, "items[0].quantity"},
		"minus one item":  {func(r *orderRequest) { r.Items[0].Quantity = -1 }, "items[0].quantity"},
		"no items":        {func(r *orderRequest) { r.Items = nil }, "items"},
		"no customer":     {func(r *orderRequest) { r.CustomerID = "" }, "customerId"},
		"no card":         {func(r *orderRequest) { r.PaymentMethod = "" }, "paymentMethod"},
		"no city":         {func(r *orderRequest) { r.ShippingAddress.City = "" }, "shippingAddress.city"},
		"too many items":  {func(r *orderRequest) { r.Items = slices.Repeat(r.Items, 1000) }, "items"},
	} {
		t.Run(name, func(t *testing.T) {
			req := newOrder(sku, 1)
			c.change(&req)
			r := stack.must(t, http.StatusUnprocessableEntity, http.MethodPost, stack.Order+"/api/v1/orders", req, "Idempotency-Key", uuid.NewString())
			if !bytes.Contains(r.body, []byte(c.field)) {
				t.Errorf("the response does not name %s: %s", c.field, r.body)
			}
			if got := r.header.Get("Content-Type"); !strings.HasPrefix(got, "application/problem+json") {
				t.Errorf("content type is %q", got)
			}
			var list struct {
				Items []orderView `json:"items"`
			}
			if req.CustomerID != "" {
				stack.must(t, http.StatusOK, http.MethodGet, stack.Order+"/api/v1/orders?customerId="+req.CustomerID, nil).decode(t, &list)
				if len(list.Items) != 0 {
					t.Errorf("a rejected request stored an order: %+v", list)
				}
			}
		})
	}
	stack.must(t, http.StatusBadRequest, http.MethodPost, stack.Order+"/api/v1/orders", newOrder(sku, 1)) // no Idempotency-Key
	stack.must(t, http.StatusNotFound, http.MethodGet, stack.Order+"/api/v1/orders/"+uuid.NewString(), nil)
}

func TestCarrierWebhook_RejectsForgedSignature(t *testing.T) {
	t.Parallel()
	report := map[string]any{
		"id": uuid.NewString(), "type": "shipment.delivered", "reference": uuid.NewString(), "shipmentId": "x",
		"tracking": "x", "occurredAt": "2026-01-01T00:00:00Z",
	}
	url := stack.Shipping + "/webhooks/carrier"
	stack.must(t, http.StatusUnauthorized, http.MethodPost, url, report)
	stack.must(t, http.StatusUnauthorized, http.MethodPost, url, report, "Carrier-Signature", "t=1767225600,v1=00")
}

// assertMoney checks how often the processor captured the charge of an order, and the amount that was not refunded.
func assertMoney(t *testing.T, order string, captures int, kept int64) {
	t.Helper()
	intents := stack.intents(t)[order]
	captured, net := 0, int64(0)
	for _, i := range intents {
		captured += i.Captures
		net += i.net()
	}
	if captured != captures || net != kept {
		t.Errorf("order %s: %d captures, %d kept, want %d and %d: %+v", order, captured, net, captures, kept, intents)
	}
}

// assertParcel checks the state of the order's only shipment at the carrier. An empty state means that there is none.
func assertParcel(t *testing.T, order, state string) {
	t.Helper()
	parcels := stack.parcels(t)[order]
	if state == "" && len(parcels) == 0 {
		return
	}
	if len(parcels) != 1 || parcels[0].State != state {
		t.Errorf("order %s: parcels %+v, want one %s", order, parcels, state)
	}
}

// assertStock waits until this quantity of the product is on hand and nothing is reserved.
func assertStock(t *testing.T, sku string, onHand int) {
	t.Helper()
	var p product
	stack.eventually(t, "the stock of "+sku+" is released", func() bool {
		p = stack.product(t, sku)
		return p.OnHand == onHand && p.Reserved == 0
	}, func() string { return fmt.Sprintf("%+v", p) })
}

// assertReconciled waits until nothing about these orders is under way, and checks that the audit snapshots of all services
// and simulators agree on them.
func assertReconciled(t *testing.T, orders ...string) {
	t.Helper()
	if report, err := stack.reconcile("--order", strings.Join(orders, ",")); err != nil {
		t.Errorf("reconciliation failed: %v\n%s", err, report)
	}
}

// reconcile waits until nothing is under way and runs quadrille reconcile, as an operator would.
func (s *Stack) reconcile(args ...string) (report string, err error) {
	cmd := exec.Command(s.Quadrille, append([]string{"reconcile", "--settled", "--wait", waitLimit.String()}, args...)...)
	cmd.Env = s.reconcileEnv()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *Stack) reconcileEnv() []string {
	return append(os.Environ(),
		"ORDER_URL="+s.Order, "INVENTORY_URL="+s.Inventory, "PAYMENT_URL="+s.Payment, "SHIPPING_URL="+s.Shipping,
		"PROCESSOR_OPS_URL="+s.Processor, "CARRIER_OPS_URL="+s.Carrier, "OPS_TOKEN="+s.Token,
		"AMQP_URL="+s.Servers.Broker["monitor"], "AMQP_CA_FILE="+s.Servers.CAFile, "BROKER_OPS_URL="+s.Broker, "RETRY_DELAYS="+s.RetryDelays)
}
