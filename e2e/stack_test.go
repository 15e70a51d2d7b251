package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/e2e/apicheck"
)

// waitLimit bounds every wait. It is far longer than anything should take.
const waitLimit = 2 * time.Minute

// Stack is a running stack as its users reach it.
type Stack struct {
	Order, Inventory, Payment, Shipping string // base URLs
	Processor, Carrier                  string // the simulators' URLs for operators
	Token                               string
	Broker                              string                                 // URL of the in-process broker for operators; empty with RabbitMQ
	Servers                             Servers                                // empty for the embedded stack
	RetryDelays                         string                                 // as declared on the broker
	Kill, Start                         func(name string) error                // send a program SIGKILL; start it again
	Restart                             func(name string, env ...string) error // stop a program and start it with these settings
	OwnStack                            func(t *testing.T) *OwnStack           // returns a stack whose servers a test may stop; nil for the embedded stack
	Logs                                string                                 // folder; empty for compose
	ServiceLogs                         func() ([]byte, error)                 // returns what the services have logged
	Quadrille                           string                                 // path of the command line program
	OutOfMemory                         func() []string                        // returns services that exceeded their memory limits; nil if unknown

	contracts *contracts // the services' OpenAPI documents
}

func (s *Stack) services() []string { return []string{s.Order, s.Inventory, s.Payment, s.Shipping} }

// awaitReady blocks until all services are ready.
func (s *Stack) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	for _, url := range s.services() {
		if err := awaitOK(ctx, url+"/readyz"); err != nil {
			return fmt.Errorf("%w (logs: %s)", err, s.Logs)
		}
	}
	return nil
}

// awaitOK blocks until url returns the status 200.
func awaitOK(ctx context.Context, url string) error {
	last := "no response"
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			last = string(body)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %s", url, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 128}}

// response is a response that was checked against the service's OpenAPI document.
type response struct {
	status    int
	header    http.Header
	body      []byte
	violation error // how the exchange violates the document
}

// conforming fails the test if the exchange violates the service's OpenAPI document. It returns the response.
func (r response) conforming(t testing.TB) response {
	t.Helper()
	if r.violation != nil {
		t.Error(r.violation)
	}
	return r
}

func (r response) decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("unexpected JSON: %v\n%s", err, r.body)
	}
}

// do sends body as JSON. It adds the operators' token to requests for /ops/.
func (s *Stack) do(method, url string, body any, header ...string) (response, error) {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return response{}, err
		}
		header = append([]string{"Content-Type", "application/json"}, header...)
	}
	if strings.Contains(url, "/ops/") {
		header = append([]string{"Authorization", "Bearer " + s.Token}, header...)
	}
	return s.send(method, url, payload, header...)
}

// send sends a request and checks the exchange against the service's OpenAPI document.
func (s *Stack) send(method, url string, body []byte, header ...string) (response, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return response{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return response{}, err
	}
	violation := s.contracts.check(apicheck.Exchange{
		Request: req, RequestBody: body, Status: resp.StatusCode, Header: resp.Header, Body: b,
	})
	return response{resp.StatusCode, resp.Header, b, violation}, nil
}

// must sends a request like do, and fails the test unless the status is as wanted.
func (s *Stack) must(t testing.TB, status int, method, url string, body any, header ...string) response {
	t.Helper()
	r, err := s.do(method, url, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	if r.status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, url, r.status, status, r.body)
	}
	return r.conforming(t)
}

type money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type product struct {
	SKU       string `json:"sku"`
	OnHand    int    `json:"onHand"`
	Reserved  int    `json:"reserved"`
	Available int    `json:"available"`
}

type orderView struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Total   money  `json:"total"`
	History []struct {
		Event string `json:"event"`
	} `json:"history"`
}

// eventCount returns how often the order's history has the event, which is given without its version.
func (o orderView) eventCount(event string) (n int) {
	for _, h := range o.History {
		if h.Event == event+".v1" {
			n++
		}
	}
	return n
}

func (o orderView) terminal() bool { return o.State == "completed" || o.State == "cancelled" }

type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

type address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode"`
	Country    string `json:"country"`
}

type orderRequest struct {
	CustomerID      string  `json:"customerId"`
	Items           []item  `json:"items"`
	ShippingAddress address `json:"shippingAddress"`
	PaymentMethod   string  `json:"paymentMethod"`
}

// Payment methods of Stripe's test mode.
const (
	pays     = "pm_card_visa"
	declined = "pm_card_chargeDeclined"
)

// private is part of every customer's name and address. It must not occur in spans and logs.
const private = "Quincunx"

// newOrder returns a valid order with one item, a card that pays and an address that the carrier delivers to.
func newOrder(sku string, quantity int) orderRequest {
	return orderRequest{
		CustomerID: "customer-" + uuid.NewString(), Items: []item{{sku, quantity}}, PaymentMethod: pays,
		ShippingAddress: address{"Ada " + private, "1 " + private + " Street", private, "1010", "AT"},
	}
}

// addProduct creates a product with this stock and blocks until the order service accepts orders for it.
func (s *Stack) addProduct(t testing.TB, name string, units int) (sku string) {
	t.Helper()
	sku = name + "-" + uuid.NewString()[:8]
	url := s.Inventory + "/api/v1/products/" + sku
	s.must(t, http.StatusCreated, http.MethodPut, url, map[string]any{"name": name, "price": money{1999, "EUR"}})
	if units > 0 {
		s.must(t, http.StatusCreated, http.MethodPost, url+"/restock", map[string]any{"quantity": units})
	}
	// The order service rejects an order for this product and an unknown one. It knows this one as soon as the rejection
	// names only the other.
	probe := newOrder(sku, 1)
	probe.Items = append(probe.Items, item{"no-such-product", 1})
	s.eventually(t, "the order service knows "+sku, func() bool {
		r := s.must(t, http.StatusUnprocessableEntity, http.MethodPost, s.Order+"/api/v1/orders", probe, "Idempotency-Key", uuid.NewString())
		return !bytes.Contains(r.body, []byte("items[0].sku"))
	})
	return sku
}

func (s *Stack) product(t testing.TB, sku string) (p product) {
	t.Helper()
	s.must(t, http.StatusOK, http.MethodGet, s.Inventory+"/api/v1/products/"+sku, nil).decode(t, &p)
	return p
}

// place places one order. It repeats the request, with the same idempotency key, until the order service accepts it.
func (s *Stack) place(t testing.TB, req orderRequest) (id string) {
	t.Helper()
	key := uuid.NewString()
	var r response
	s.eventually(t, "the order is accepted", func() bool {
		var err error
		r, err = s.do(http.MethodPost, s.Order+"/api/v1/orders", req, "Idempotency-Key", key)
		if err == nil && r.status >= 400 && r.status < 500 && r.status != http.StatusConflict {
			t.Errorf("order rejected: %d %s", r.status, r.body)
			return true
		}
		return err == nil && r.status == http.StatusAccepted
	})
	var o orderView
	r.conforming(t).decode(t, &o)
	return o.ID
}

// orderState returns an order. It reports false if the order service does not respond.
func (s *Stack) orderState(t testing.TB, id string) (o orderView, ok bool) {
	t.Helper()
	r, err := s.do(http.MethodGet, s.Order+"/api/v1/orders/"+id, nil)
	if err != nil || r.status != http.StatusOK {
		return o, false
	}
	r.conforming(t).decode(t, &o)
	return o, true
}

// awaitOrder blocks until the order fulfils the condition.
func (s *Stack) awaitOrder(t testing.TB, id, what string, condition func(o orderView) bool) (o orderView) {
	t.Helper()
	s.eventually(t, "order "+id+" "+what, func() bool {
		var ok bool
		o, ok = s.orderState(t, id)
		return ok && condition(o)
	}, func() string { return fmt.Sprintf("%+v", o) })
	return o
}

// awaitState blocks until the order is in the state.
func (s *Stack) awaitState(t testing.TB, id, state string) orderView {
	t.Helper()
	return s.awaitOrder(t, id, "is "+state, func(o orderView) bool { return o.State == state })
}

// await blocks until the order is completed or cancelled, and fails the test if it is not in the wanted state.
func (s *Stack) await(t testing.TB, id, state string) orderView {
	t.Helper()
	o := s.awaitOrder(t, id, "ends", orderView.terminal)
	if o.State != state {
		t.Errorf("order %s is %s (%s), want %s", id, o.State, o.Reason, state)
	}
	return o
}

// cancel requests the cancellation of an order until the order service responds.
func (s *Stack) cancel(t testing.TB, id string) (r response) {
	t.Helper()
	s.eventually(t, "the cancellation of "+id+" has a response", func() bool {
		var err error
		r, err = s.do(http.MethodPost, s.Order+"/api/v1/orders/"+id+"/cancel", nil)
		return err == nil && r.status < 500
	})
	return r.conforming(t)
}

// eventually blocks until the condition is true, and fails the test after waitLimit. The details are added to the failure.
func (s *Stack) eventually(t testing.TB, what string, condition func() bool, details ...func() string) {
	t.Helper()
	deadline := time.Now().Add(waitLimit)
	for !condition() {
		if time.Now().After(deadline) {
			for _, d := range details {
				what += "; last seen: " + d()
			}
			t.Fatalf("still waiting after %v: %s (logs: %s)", waitLimit, what, s.Logs)
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // polls a stack from outside
	}
}

// intent is a payment intent in the processor's audit snapshot.
type intent struct {
	OrderID  string `json:"orderId"`
	Amount   int64  `json:"amount"`
	Captures int    `json:"captures"`
	Refunds  []struct {
		Amount int64 `json:"amount"`
	} `json:"refunds"`
}

// net returns the amount that was captured and not refunded.
func (i intent) net() int64 {
	n := int64(i.Captures) * i.Amount
	for _, r := range i.Refunds {
		n -= r.Amount
	}
	return n
}

// intents returns the processor's payment intents by order.
func (s *Stack) intents(t testing.TB) map[string][]intent {
	t.Helper()
	var snapshot struct {
		Intents []intent `json:"paymentIntents"`
	}
	s.must(t, http.StatusOK, http.MethodGet, s.Processor+"/ops/audit", nil).decode(t, &snapshot)
	byOrder := map[string][]intent{}
	for _, i := range snapshot.Intents {
		byOrder[i.OrderID] = append(byOrder[i.OrderID], i)
	}
	return byOrder
}

// parcel is a shipment in the carrier's audit snapshot.
type parcel struct {
	Reference string `json:"reference"`
	State     string `json:"state"`
}

// parcels returns the carrier's shipments by order.
func (s *Stack) parcels(t testing.TB) map[string][]parcel {
	t.Helper()
	var snapshot struct {
		Shipments []parcel `json:"shipments"`
	}
	s.must(t, http.StatusOK, http.MethodGet, s.Carrier+"/ops/audit", nil).decode(t, &snapshot)
	byOrder := map[string][]parcel{}
	for _, p := range snapshot.Shipments {
		byOrder[p.Reference] = append(byOrder[p.Reference], p)
	}
	return byOrder
}
