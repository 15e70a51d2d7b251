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

// patience bounds every wait. It is far longer than anything should take.
const patience = 2 * time.Minute

// Shop is a running shop as its users reach it.
type Shop struct {
	Order, Inventory, Payment, Shipping string // base URLs
	Processor, Carrier                  string // the simulators' operator URLs
	Token                               string
	Broker                              string                                 // the broker's operators' side, where it is no RabbitMQ
	Servers                             Servers                                // none, if the shop is one process
	RetryLadder                         string                                 // what was declared on the broker
	Kill, Start                         func(name string) error                // SIGKILL a program; start it again
	Restart                             func(name string, env ...string) error // stop it, start it with these settings
	Standing                            func(t *testing.T) *Standing           // one like it, with its servers; nil if it has none
	Logs                                string                                 // folder, if there is one
	ServiceLogs                         func() ([]byte, error)                 // what the services have logged
	Quadrille                           string                                 // the command line program
	Starved                             func() []string                        // who took too much memory so far, if anybody watches

	promises *promises // what the services' requests and answers are held against
}

func (s *Shop) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, url := range []string{s.Order, s.Inventory, s.Payment, s.Shipping} {
		if err := awaitOK(ctx, url+"/readyz"); err != nil {
			return fmt.Errorf("%w (logs: %s)", err, s.Logs)
		}
	}
	return nil
}

func awaitOK(ctx context.Context, url string) error {
	last := "no answer"
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

// answer is what a service said.
type answer struct {
	status int
	header http.Header
	body   []byte
	broken error // in what way it is not as the service promises
}

// kept fails the test if the service did not keep its promises.
func (a answer) kept(t testing.TB) answer {
	t.Helper()
	if a.broken != nil {
		t.Error(a.broken)
	}
	return a
}

func (a answer) decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("not the JSON expected: %v\n%s", err, a.body)
	}
}

func (s *Shop) do(method, url string, body any, header ...string) (answer, error) {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return answer{}, err
		}
		header = append([]string{"Content-Type", "application/json"}, header...)
	}
	if strings.Contains(url, "/ops/") {
		header = append([]string{"Authorization", "Bearer " + s.Token}, header...)
	}
	return s.send(method, url, payload, header...)
}

// send asks, and holds what was asked and answered against the service's OpenAPI document.
func (s *Shop) send(method, url string, body []byte, header ...string) (answer, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	broken := s.promises.check(apicheck.Exchange{
		Request: req, RequestBody: body, Status: resp.StatusCode, Header: resp.Header, Body: b,
	})
	return answer{resp.StatusCode, resp.Header, b, broken}, nil
}

// must calls and checks the status.
func (s *Shop) must(t testing.TB, status int, method, url string, body any, header ...string) answer {
	t.Helper()
	a, err := s.do(method, url, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	if a.status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, url, a.status, status, a.body)
	}
	return a.kept(t)
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

func (o orderView) heard(event string) (times int) {
	for _, h := range o.History {
		if h.Event == event+".v1" {
			times++
		}
	}
	return times
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

// Payment methods as Stripe's test mode knows them.
const (
	pays     = "pm_card_visa"
	declined = "pm_card_chargeDeclined"
)

// private is in every customer's name and address, and may be in no span and no line of a log.
const private = "Quincunx"

// orderOf is a good order: one item, a card that pays, an address that exists.
func orderOf(sku string, quantity int) orderRequest {
	return orderRequest{
		CustomerID: "customer-" + uuid.NewString(), Items: []item{{sku, quantity}}, PaymentMethod: pays,
		ShippingAddress: address{"Ada " + private, "1 " + private + " Street", private, "1010", "AT"},
	}
}

// stock puts a new product on the shelf and waits until it can be ordered.
func (s *Shop) stock(t testing.TB, name string, units int) (sku string) {
	t.Helper()
	sku = name + "-" + uuid.NewString()[:8]
	url := s.Inventory + "/api/v1/products/" + sku
	s.must(t, http.StatusCreated, http.MethodPut, url, map[string]any{"name": name, "price": money{1999, "EUR"}})
	if units > 0 {
		s.must(t, http.StatusCreated, http.MethodPost, url+"/supply", map[string]any{"quantity": units})
	}
	// An order for this and an unknown product is refused; once the refusal names the other one only, this one is known.
	probe := orderOf(sku, 1)
	probe.Items = append(probe.Items, item{"no-such-product", 1})
	s.eventually(t, "order service knows "+sku, func() bool {
		a := s.must(t, http.StatusUnprocessableEntity, http.MethodPost, s.Order+"/api/v1/orders", probe, "Idempotency-Key", uuid.NewString())
		return !bytes.Contains(a.body, []byte("items[0].sku"))
	})
	return sku
}

func (s *Shop) product(t testing.TB, sku string) (p product) {
	t.Helper()
	s.must(t, http.StatusOK, http.MethodGet, s.Inventory+"/api/v1/products/"+sku, nil).decode(t, &p)
	return p
}

// place orders, once, however often it has to ask.
func (s *Shop) place(t testing.TB, req orderRequest) (id string) {
	t.Helper()
	key := uuid.NewString()
	var a answer
	s.eventually(t, "the order is accepted", func() bool {
		var err error
		a, err = s.do(http.MethodPost, s.Order+"/api/v1/orders", req, "Idempotency-Key", key)
		if err == nil && a.status >= 400 && a.status < 500 && a.status != http.StatusConflict {
			t.Errorf("order refused: %d %s", a.status, a.body)
			return true
		}
		return err == nil && a.status == http.StatusAccepted
	})
	var o orderView
	a.kept(t).decode(t, &o)
	return o.ID
}

func (s *Shop) orderState(t testing.TB, id string) (o orderView, ok bool) {
	t.Helper()
	a, err := s.do(http.MethodGet, s.Order+"/api/v1/orders/"+id, nil)
	if err != nil || a.status != http.StatusOK {
		return o, false
	}
	a.kept(t).decode(t, &o)
	return o, true
}

// awaitState blocks until the order is in the state.
func (s *Shop) awaitState(t testing.TB, id, state string) (o orderView) {
	t.Helper()
	s.eventually(t, "order "+id+" is "+state, func() bool {
		var ok bool
		o, ok = s.orderState(t, id)
		return ok && o.State == state
	}, func() string { return fmt.Sprintf("%+v", o) })
	return o
}

// cancel asks until there is an answer, and gives it.
func (s *Shop) cancel(t testing.TB, id string) (a answer) {
	t.Helper()
	s.eventually(t, "an answer to the cancellation of "+id, func() bool {
		var err error
		a, err = s.do(http.MethodPost, s.Order+"/api/v1/orders/"+id+"/cancel", nil)
		return err == nil && a.status < 500
	})
	return a.kept(t)
}

// await blocks until the order has ended, and checks how.
func (s *Shop) await(t testing.TB, id, state string) (o orderView) {
	t.Helper()
	s.eventually(t, "order "+id+" ends", func() bool {
		var ok bool
		o, ok = s.orderState(t, id)
		return ok && o.terminal()
	}, func() string { return fmt.Sprintf("%+v", o) })
	if o.State != state {
		t.Errorf("order %s is %s (%s), want %s", id, o.State, o.Reason, state)
	}
	return o
}

// eventually waits for a condition.
func (s *Shop) eventually(t testing.TB, what string, condition func() bool, detail ...func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			for _, d := range detail {
				what += "; last seen: " + d()
			}
			t.Fatalf("still waiting after %v: %s (logs: %s)", patience, what, s.Logs)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// intent is a payment as the processor's books have it.
type intent struct {
	OrderID  string `json:"orderId"`
	Amount   int64  `json:"amount"`
	Captures int    `json:"captures"`
	Refunds  []struct {
		Amount int64 `json:"amount"`
	} `json:"refunds"`
}

// net is what the processor keeps.
func (i intent) net() int64 {
	n := int64(i.Captures) * i.Amount
	for _, r := range i.Refunds {
		n -= r.Amount
	}
	return n
}

// intents asks the processor for its books, by order.
func (s *Shop) intents(t testing.TB) map[string][]intent {
	t.Helper()
	var books struct {
		Intents []intent `json:"paymentIntents"`
	}
	s.must(t, http.StatusOK, http.MethodGet, s.Processor+"/ops/audit", nil).decode(t, &books)
	byOrder := map[string][]intent{}
	for _, i := range books.Intents {
		byOrder[i.OrderID] = append(byOrder[i.OrderID], i)
	}
	return byOrder
}

// parcel is a shipment as the carrier's books have it.
type parcel struct {
	Reference string `json:"reference"`
	State     string `json:"state"`
}

func (s *Shop) parcels(t testing.TB) map[string][]parcel {
	t.Helper()
	var books struct {
		Shipments []parcel `json:"shipments"`
	}
	s.must(t, http.StatusOK, http.MethodGet, s.Carrier+"/ops/audit", nil).decode(t, &books)
	byOrder := map[string][]parcel{}
	for _, p := range books.Shipments {
		byOrder[p.Reference] = append(byOrder[p.Reference], p)
	}
	return byOrder
}
