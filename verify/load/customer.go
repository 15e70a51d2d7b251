package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// order is one order, and what is known of it.
type order struct {
	story   *story
	sku     string
	key     string // for idempotency
	group   *group
	due     time.Time
	pending int // of two: the customer's requests, and the end of the order

	id             string
	accepted       time.Duration // since due; zero if it was not
	outcome        string        // once it has ended
	ended          time.Duration
	cancelRejected bool   // the cancellation came too late
	failure        string // why the customer's requests failed
}

// generator places the orders of a run.
type generator struct {
	cfg       Config
	run       string // the name of the run
	client    *stackclient.Client
	stock     *stock
	nextStory func() *story

	customers sync.WaitGroup
	ended     chan struct{} // receives a value when an order has ended

	mu       sync.Mutex
	orders   []*order
	groups   []*group
	current  counts
	late     Late
	failures map[string]*Failure
	polls    polls
}

func newGenerator(cfg Config, run string, client *stackclient.Client, st *stock) *generator {
	return &generator{
		cfg: cfg, run: run, client: client, stock: st, nextStory: cfg.Mix.sequence(),
		ended: make(chan struct{}, 1), failures: map[string]*Failure{},
	}
}

// lateAfter is the delay from which an order counts as late.
const lateAfter = 10 * time.Millisecond

// arrive starts the order that is due at this time. It does not block.
func (g *generator) arrive(ctx context.Context, due time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if behind := time.Since(due); behind > lateAfter {
		g.late.Orders++
		g.late.MaxSeconds = max(g.late.MaxSeconds, behind.Seconds())
	}
	story := g.nextStory()
	g.current.arrived++
	if g.current.open >= g.cfg.InFlight {
		g.current.dropped++
		return
	}
	n := len(g.orders)
	if n%stackclient.OrdersPage == 0 {
		g.groups = append(g.groups, &group{
			customer: fmt.Sprintf("load-%s-%d", g.run, len(g.groups)), open: map[string]*order{},
		})
	}
	o := &order{
		story: story, sku: g.stock.skus[n%len(g.stock.skus)], key: uuid.NewString(), group: g.groups[len(g.groups)-1],
		due: due, pending: 2,
	}
	if story.outOfStock {
		o.sku = g.stock.outOfStock
	}
	g.orders = append(g.orders, o)
	g.current.open++
	g.customers.Go(func() { g.runCustomer(ctx, o) })
}

// runCustomer sends the requests of one order.
func (g *generator) runCustomer(ctx context.Context, o *order) {
	defer g.complete(o)
	if err := g.place(ctx, o); err != nil {
		g.recordFailure(ctx, o, "not accepted", err)
		g.complete(o)
		return
	}
	if !o.story.cancels {
		return
	}
	if stackclient.Sleep(ctx, rand.N(time.Second)) != nil {
		return
	}
	if err := g.cancel(ctx, o); err != nil {
		g.recordFailure(ctx, o, "no response to the cancellation", err)
	}
}

func (g *generator) place(ctx context.Context, o *order) error {
	req := stackclient.ValidOrder(o.group.customer, stackclient.Item{SKU: o.sku, Quantity: 1})
	if o.story.change != nil {
		o.story.change(&req)
	}
	resp, err := g.sendWithRetries(ctx, "order", stackclient.ShouldRetry, func() (stackclient.Response, error) {
		return g.client.Place(ctx, req, o.key)
	})
	if err != nil {
		return err
	}
	took := time.Since(o.due)
	var accepted stackclient.Order
	if resp.Status != http.StatusAccepted || json.Unmarshal(resp.Body, &accepted) != nil || accepted.ID == "" {
		err := &stackclient.StatusError{Call: "POST /orders", Response: resp}
		g.countFailure("order", resp, err)
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	o.id, o.accepted = accepted.ID, took
	o.group.open[o.id] = o
	g.current.accepted++
	return nil
}

func (g *generator) cancel(ctx context.Context, o *order) error {
	retry := func(resp stackclient.Response, err error) bool { return err != nil || resp.Status >= 500 }
	resp, err := g.sendWithRetries(ctx, "cancel", retry, func() (stackclient.Response, error) { return g.client.Cancel(ctx, o.id) })
	if err != nil {
		return err
	}
	switch resp.Status {
	case http.StatusAccepted, http.StatusOK:
		return nil
	case http.StatusConflict:
		g.mu.Lock()
		defer g.mu.Unlock()
		o.cancelRejected = true
		return nil
	default:
		err := &stackclient.StatusError{Call: "POST /orders/" + o.id + "/cancel", Response: resp}
		g.countFailure("cancel", resp, err)
		return err
	}
}

// sendWithRetries repeats a request until a further one would not change the response, at most for Config.Timeout. It counts
// the attempts that failed. The pauses grow up to ten seconds, so that the retries do not keep a slow stack slow.
func (g *generator) sendWithRetries(
	ctx context.Context, what string, retry func(stackclient.Response, error) bool, send func() (stackclient.Response, error),
) (stackclient.Response, error) {
	deadline := time.Now().Add(g.cfg.Timeout)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		resp, err := send()
		if ctx.Err() != nil {
			return resp, ctx.Err()
		}
		if !retry(resp, err) {
			return resp, err
		}
		g.countFailure(what, resp, err)
		if time.Now().After(deadline) {
			if err == nil {
				err = &stackclient.StatusError{Call: what, Response: resp}
			}
			return resp, fmt.Errorf("no success after %v: %w", g.cfg.Timeout, err)
		}
		if err := stackclient.Sleep(ctx, pause/2+rand.N(pause/2)); err != nil {
			return resp, err
		}
	}
}

// complete is called twice for each order. After the second call, the order is not open any more.
func (g *generator) complete(o *order) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if o.pending--; o.pending > 0 {
		return
	}
	g.current.open--
	select {
	case g.ended <- struct{}{}:
	default: // drain has not received the previous one yet
	}
}

func (g *generator) recordFailure(ctx context.Context, o *order, what string, err error) {
	if ctx.Err() != nil {
		return // the run was stopped
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	o.failure = fmt.Sprintf("%s: %v", what, err)
}

// drain blocks until no order is open, no order has ended for Config.Timeout, or ctx has ended.
func (g *generator) drain(ctx context.Context) {
	timeout := time.NewTimer(g.cfg.Timeout)
	defer timeout.Stop()
	for g.counts().open > 0 {
		select {
		case <-g.ended:
			timeout.Reset(g.cfg.Timeout)
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Failure is one kind of failed requests.
type Failure struct {
	Kind    string `json:"kind"`
	Count   int    `json:"count"`
	Example string `json:"example"`
}

// countFailure counts a request without a response, or with one that does not help.
func (g *generator) countFailure(what string, resp stackclient.Response, err error) {
	kind := what + ": " + failureKind(resp, err)
	if err == nil {
		err = &stackclient.StatusError{Call: what, Response: resp}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current.failed++
	f := g.failures[kind]
	if f == nil {
		f = &Failure{Kind: kind, Example: err.Error()}
		g.failures[kind] = f
	}
	f.Count++
}

func failureKind(resp stackclient.Response, err error) string {
	var (
		network net.Error
		status  *stackclient.StatusError
	)
	switch {
	case errors.As(err, &status):
		return fmt.Sprintf("%d %s", status.Response.Status, http.StatusText(status.Response.Status))
	case err == nil:
		return fmt.Sprintf("%d %s", resp.Status, http.StatusText(resp.Status))
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection lost"
	default:
		return "no response"
	}
}
