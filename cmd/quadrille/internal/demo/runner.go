package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// runner runs one story: it has what the story has done so far, and the steps that a story consists of.
type runner struct {
	client  *client
	rows    *timeline
	timeout time.Duration

	req      stackclient.OrderRequest
	key      string             // the idempotency key of the story's order
	products map[string]product // by SKU
	sku      string             // the product whose stock is verified
	faults   []*injectedFault
	watcher  *watcher // nil until the order is accepted
	stop     func()   // stops the watcher
}

// product is a product that the story has created.
type product struct {
	name  string // as in 2 × name
	units int    // before the order
}

// The price of one unit of every product.
const (
	price    = 1999
	currency = "EUR"
)

// request returns an order that will be completed, unless the story changes it.
func (r *runner) request(quantity int) stackclient.OrderRequest {
	return stackclient.ValidOrder("demo-"+uuid.NewString(), stackclient.Item{SKU: r.sku, Quantity: quantity})
}

// addProduct creates a product and blocks until it can be ordered. The stock of the first one is verified at the end.
func (r *runner) addProduct(ctx context.Context, name string, units int) (sku string, err error) {
	sku = strings.ReplaceAll(strings.ToLower(name), " ", "-") + "-" + uuid.NewString()[:8]
	if err := r.client.CreateProduct(ctx, sku, name, stackclient.Money{Amount: price, Currency: currency}, units); err != nil {
		return "", err
	}
	err = r.eventually(ctx, "the order service to receive the product "+sku, func(ctx context.Context) (bool, string, error) {
		known, err := r.client.Orderable(ctx, sku)
		return known, "", err
	})
	if r.sku == "" {
		r.sku = sku
	}
	r.products[sku] = product{strings.ToLower(name), units}
	return sku, err
}

// place places one order, repeats the request if that can help, and starts to watch the order.
func (r *runner) place(ctx context.Context, req stackclient.OrderRequest) error {
	r.announceOrder(req)
	var resp stackclient.Response
	err := r.eventually(ctx, "the order to be accepted", func(ctx context.Context) (_ bool, _ string, err error) {
		resp, err = r.send(ctx)
		if stackclient.ShouldRetry(resp, err) {
			return false, string(resp.Body), err
		}
		return true, "", err
	})
	if err != nil {
		return err
	}
	return r.watch(ctx, resp)
}

// announceOrder shows what the customer is about to order.
func (r *runner) announceOrder(req stackclient.OrderRequest) {
	r.req, r.key = req, uuid.NewString()
	var items []string
	total := stackclient.Money{Amount: 0, Currency: currency}
	for _, i := range req.Items {
		total.Amount += int64(i.Quantity) * price
		items = append(items, fmt.Sprintf("%d × %s", i.Quantity, r.products[i.SKU].name))
	}
	r.addAction("customer", "orders "+strings.Join(items, " and ")+", for "+total.String())
}

func (r *runner) send(ctx context.Context) (stackclient.Response, error) {
	return r.client.Place(ctx, r.req, r.key)
}

// watch starts the watcher for the order in the response.
func (r *runner) watch(ctx context.Context, accepted stackclient.Response) error {
	if accepted.Status != http.StatusAccepted {
		return &stackclient.StatusError{Call: "POST /api/v1/orders", Response: accepted}
	}
	var o stackclient.Order
	if err := json.Unmarshal(accepted.Body, &o); err != nil {
		return fmt.Errorf("POST /api/v1/orders: %w", err)
	}
	r.watcher = newWatcher(r.client, r.rows, o, func(event string) string {
		return strings.ReplaceAll(captions[event], "%s", o.Total.String())
	})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		r.watcher.run(ctx)
		close(ended)
	}()
	r.stop = func() {
		cancel()
		<-ended
	}
	return nil
}

func (r *runner) id() string {
	if r.watcher == nil {
		return ""
	}
	return r.watcher.id
}

// addAction adds a row about something that the demo did.
func (r *runner) addAction(who, what string) {
	r.rows.add(Row{Kind: KindAction, At: time.Now(), Who: who, What: what})
	if r.watcher == nil {
		r.rows.flush(time.Now())
	}
}

// cancel requests the cancellation of the order, repeats the request until there is a response, and shows it. It returns an
// error if the status is another one than want.
func (r *runner) cancel(ctx context.Context, want int) error {
	r.addAction("customer", "asks to cancel")
	var resp stackclient.Response
	err := r.eventually(ctx, "a response to the cancel request", func(ctx context.Context) (_ bool, _ string, err error) {
		resp, err = r.client.Cancel(ctx, r.id())
		return err == nil && resp.Status < 500, string(resp.Body), err
	})
	if err != nil {
		return err
	}
	if resp.Status != want {
		return fmt.Errorf("cancel: expected status %d: %w", want, &stackclient.StatusError{Call: "got", Response: resp})
	}
	if resp.Status == http.StatusConflict {
		var problem struct {
			Detail string `json:"detail"`
		}
		if err := json.Unmarshal(resp.Body, &problem); err != nil {
			return fmt.Errorf("cancel: %w", err)
		}
		r.addAction(orderService, "responds with 409: "+problem.Detail)
	}
	return nil
}

// awaitState blocks until the order is in this state.
func (r *runner) awaitState(ctx context.Context, state order.State) error {
	return r.eventually(ctx, fmt.Sprintf("the order to be %s", state), func(context.Context) (bool, string, error) {
		o := r.watcher.view()
		if o.Ended() && order.State(o.State) != state {
			return false, "", fmt.Errorf("the order should be %s, but is %s: %s", state, o.State, o.Message)
		}
		return order.State(o.State) == state, fmt.Sprintf("it is %s", o.State), nil
	})
}

// awaitPayment blocks until the order's payment is in this state.
func (r *runner) awaitPayment(ctx context.Context, state string) error {
	return r.eventually(ctx, "the payment to be "+state, func(ctx context.Context) (bool, string, error) {
		var p struct {
			State string `json:"state"`
		}
		err := r.client.Get(ctx, r.client.stack.Payment+"/api/v1/payments/"+r.id(), &p)
		return err == nil && p.State == state, "it is " + p.State, nil
	})
}

// awaitShown blocks until everything that has happened so far is shown.
func (r *runner) awaitShown(ctx context.Context) error {
	now := time.Now()
	return r.eventually(ctx, "the audit snapshots", func(context.Context) (bool, string, error) {
		return r.watcher.shows(now), "", nil
	})
}

// eventually is stackclient.Eventually with the demo's timeout.
func (r *runner) eventually(
	ctx context.Context, what string, check func(ctx context.Context) (done bool, current string, err error),
) error {
	return stackclient.Eventually(ctx, r.timeout, what, check)
}
