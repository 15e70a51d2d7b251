package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// fakeStack responds without a network, so that a test can use virtual time. Its orders end by themselves.
type fakeStack struct {
	// lives is the time from the order to its end.
	lives time.Duration
	// respond is called for every request, and may wait, fail or respond itself.
	respond func(r *http.Request) (*http.Response, error)
	// lost reports whether the response to a request is lost.
	lost func(r *http.Request) bool
	// ends may give an order an unexpected end.
	ends func(req stackclient.OrderRequest) (outcome stackclient.Order, said bool)
	// dispatchDelay is the time after which a cancellation is too late.
	dispatchDelay time.Duration

	mu       sync.Mutex
	products map[string]stackclient.Product
	orders   []*fakeOrder
	byKey    map[string]*fakeOrder
	came     []time.Time // requests for orders
	deleted  int
}

type fakeOrder struct {
	stackclient.Order
	req    stackclient.OrderRequest
	placed time.Time
}

func (f *fakeStack) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/orders") && r.Header.Get("Idempotency-Key") != "" {
		f.mu.Lock()
		f.came = append(f.came, time.Now())
		f.mu.Unlock()
	}
	if f.respond != nil {
		if a, err := f.respond(r); a != nil || err != nil {
			return a, err
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, body := f.serve(r)
	if f.lost != nil && f.lost(r) {
		return nil, io.ErrUnexpectedEOF
	}
	return newResponse(r, status, body), nil
}

func newResponse(r *http.Request, status int, body any) *http.Response {
	var b bytes.Buffer
	if body != nil {
		_ = json.NewEncoder(&b).Encode(body) // a bytes.Buffer takes everything
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(&b), Request: r}
}

func (f *fakeStack) serve(r *http.Request) (int, any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := r.URL.Path
	sku := strings.TrimPrefix(path, "/api/v1/products/")
	switch {
	case path == "/readyz" || path == "/ops/faults":
		return http.StatusOK, nil
	case strings.HasSuffix(path, "/restock"):
		var supply struct{ Quantity int }
		_ = json.NewDecoder(r.Body).Decode(&supply) // it is ours
		sku = strings.TrimSuffix(sku, "/restock")
		f.products[sku] = stackclient.Product{OnHand: f.products[sku].OnHand + supply.Quantity}
		return http.StatusCreated, nil
	case sku != path && r.Method == http.MethodPut:
		if f.products == nil {
			f.products, f.byKey = map[string]stackclient.Product{}, map[string]*fakeOrder{}
		}
		f.products[sku] = stackclient.Product{}
		return http.StatusCreated, nil
	case sku != path && r.Method == http.MethodDelete:
		f.deleted++
		return http.StatusNoContent, nil
	case sku != path:
		p := f.products[sku]
		for _, o := range f.orders {
			if f.now(o).State == contracts.OrderStateCompleted && o.req.Items[0].SKU == sku {
				p.OnHand--
			}
		}
		return http.StatusOK, p
	case strings.HasSuffix(path, "/cancel"):
		return f.cancel(strings.Split(path, "/")[4])
	case path == "/api/v1/orders" && r.Method == http.MethodPost:
		return f.place(r)
	case path == "/api/v1/orders":
		return f.list(r.URL.Query().Get("customerId"))
	}
	return http.StatusNotFound, nil
}

func (f *fakeStack) place(r *http.Request) (int, any) {
	var req stackclient.OrderRequest
	_ = json.NewDecoder(r.Body).Decode(&req) // it is ours
	if len(req.Items) > 1 {
		return http.StatusUnprocessableEntity, map[string]string{"detail": "unknown product"}
	}
	key := r.Header.Get("Idempotency-Key")
	if o := f.byKey[key]; o != nil {
		return http.StatusAccepted, o.Order
	}
	o := &fakeOrder{Order: stackclient.Order{ID: fmt.Sprintf("order-%d", len(f.orders)), State: "pending"}, req: req, placed: time.Now()}
	f.orders, f.byKey[key] = append(f.orders, o), o
	return http.StatusAccepted, o.Order
}

// now returns the order in its current state.
func (f *fakeStack) now(o *fakeOrder) stackclient.Order {
	if o.Ended() || time.Since(o.placed) < f.lives {
		return o.Order
	}
	end := func(state, reason string) stackclient.Order {
		return stackclient.Order{ID: o.ID, State: state, Reason: reason}
	}
	if f.ends != nil {
		if other, said := f.ends(o.req); said {
			return end(other.State, other.Reason)
		}
	}
	switch {
	case strings.HasSuffix(o.req.Items[0].SKU, "-none"):
		return end("cancelled", "out_of_stock")
	case o.req.PaymentMethod == stackclient.CardDeclined:
		return end("cancelled", "card_declined")
	case o.req.ShippingAddress.PostalCode == stackclient.Undeliverable:
		return end("cancelled", "undeliverable")
	}
	return end(contracts.OrderStateCompleted, "")
}

func (f *fakeStack) cancel(id string) (int, any) {
	o := f.orders[slices.IndexFunc(f.orders, func(o *fakeOrder) bool { return o.ID == id })]
	if time.Since(o.placed) >= f.dispatchDelay {
		return http.StatusConflict, nil
	}
	o.State, o.Reason = "cancelled", "customer"
	return http.StatusAccepted, o.Order
}

func (f *fakeStack) list(customer string) (int, any) {
	var list struct {
		Items []stackclient.Order `json:"items"`
	}
	for _, o := range f.orders {
		if o.req.CustomerID == customer {
			list.Items = append(list.Items, f.now(o))
		}
	}
	if len(list.Items) > stackclient.OrdersPage {
		return http.StatusInternalServerError, "more than a page"
	}
	return http.StatusOK, list
}

// calm returns a run of ten seconds without failures.
func calm(f *fakeStack) Config {
	mix, err := ParseMix(DefaultMix)
	if err != nil {
		panic(err)
	}
	if f.lives == 0 {
		f.lives, f.dispatchDelay = 4*time.Second, 2*time.Second
	}
	at := "http://stack"
	return Config{
		Stack: stackclient.Stack{Order: at, Inventory: at, Payment: at, Shipping: at, Processor: at, Carrier: at, Token: "secret"},
		Rate:  50, For: 10 * time.Second, Mix: mix, InFlight: 1000, Timeout: 30 * time.Second, transport: f,
		Reconcile: func(context.Context, []string) (reconcile.Report, error) { return reconcile.Report{Clean: true}, nil },
	}
}

// placing reports whether the request places an order.
func placing(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == "/api/v1/orders"
}

// wait makes the stack slow.
func wait(r *http.Request, d time.Duration) (*http.Response, error) {
	return nil, stackclient.Sleep(r.Context(), d)
}

var errRefused = fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
