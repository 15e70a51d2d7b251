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

// order is one customer's, and what is known of it.
type order struct {
	story *story
	sku   string
	key   string // for idempotency
	group *group
	due   time.Time
	waits int // for the customer to be done, and for the end of the order

	id       string
	accepted time.Duration // since due; zero: it was not
	outcome  string        // once it has ended
	ended    time.Duration
	refused  bool   // its cancellation came too late
	failure  string // why the customer could not do as they meant to
}

// crowd is all customers of a run. What changes is guarded by mu.
type crowd struct {
	cfg    Config
	run    string // its name
	client *stackclient.Client
	shelf  *shelf
	deal   func() *story

	customers sync.WaitGroup
	moved     chan struct{} // has something when an order has ended

	mu       sync.Mutex
	orders   []*order
	groups   []*group
	now      counts
	late     Late
	failures map[string]*Failure
	looks    looks
}

func newCrowd(cfg Config, run string, client *stackclient.Client, shelf *shelf) *crowd {
	return &crowd{
		cfg: cfg, run: run, client: client, shelf: shelf, deal: cfg.Mix.deal(),
		moved: make(chan struct{}, 1), failures: map[string]*Failure{},
	}
}

// tooLate is how long after its time a customer may come without being counted as late.
const tooLate = 10 * time.Millisecond

// come lets a customer in, who was to come when it was due, and does not wait for them.
func (c *crowd) come(ctx context.Context, due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if behind := time.Since(due); behind > tooLate {
		c.late.Orders++
		c.late.MaxSeconds = max(c.late.MaxSeconds, behind.Seconds())
	}
	story := c.deal()
	c.now.arrived++
	if c.now.open >= c.cfg.InFlight {
		c.now.dropped++
		return
	}
	n := len(c.orders)
	if n%stackclient.OrdersPage == 0 {
		c.groups = append(c.groups, &group{
			customer: fmt.Sprintf("load-%s-%d", c.run, len(c.groups)), open: map[string]*order{},
		})
	}
	o := &order{
		story: story, sku: c.shelf.skus[n%len(c.shelf.skus)], key: uuid.NewString(), group: c.groups[len(c.groups)-1],
		due: due, waits: 2,
	}
	if story.empty {
		o.sku = c.shelf.empty
	}
	c.orders = append(c.orders, o)
	c.now.open++
	c.customers.Go(func() { c.live(ctx, o) })
}

// live is what a customer does.
func (c *crowd) live(ctx context.Context, o *order) {
	defer c.settle(o)
	if err := c.place(ctx, o); err != nil {
		c.fail(ctx, o, "not accepted", err)
		c.settle(o)
		return
	}
	if !o.story.cancels {
		return
	}
	if stackclient.Sleep(ctx, rand.N(time.Second)) != nil {
		return
	}
	if err := c.cancel(ctx, o); err != nil {
		c.fail(ctx, o, "its cancellation was not answered", err)
	}
}

func (c *crowd) place(ctx context.Context, o *order) error {
	req := stackclient.GoodOrder(o.group.customer, stackclient.Item{SKU: o.sku, Quantity: 1})
	if o.story.change != nil {
		o.story.change(&req)
	}
	a, err := c.insist(ctx, "order", stackclient.Passing, func() (stackclient.Answer, error) {
		return c.client.Place(ctx, req, o.key)
	})
	if err != nil {
		return err
	}
	took := time.Since(o.due)
	var accepted stackclient.Order
	if a.Status != http.StatusAccepted || json.Unmarshal(a.Body, &accepted) != nil || accepted.ID == "" {
		err := &stackclient.StatusError{Call: "POST /orders", Answer: a}
		c.failed("order", a, err)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o.id, o.accepted = accepted.ID, took
	o.group.open[o.id] = o
	c.now.accepted++
	return nil
}

func (c *crowd) cancel(ctx context.Context, o *order) error {
	again := func(a stackclient.Answer, err error) bool { return err != nil || a.Status >= 500 }
	a, err := c.insist(ctx, "cancel", again, func() (stackclient.Answer, error) { return c.client.Cancel(ctx, o.id) })
	if err != nil {
		return err
	}
	switch a.Status {
	case http.StatusAccepted, http.StatusOK:
		return nil
	case http.StatusConflict:
		c.mu.Lock()
		defer c.mu.Unlock()
		o.refused = true
		return nil
	default:
		err := &stackclient.StatusError{Call: "POST /orders/" + o.id + "/cancel", Answer: a}
		c.failed("cancel", a, err)
		return err
	}
}

// insist sends a request until there is an answer that another one would not change, or patience is at its end. The
// tries that failed are counted. The pauses grow up to ten seconds: a shop that is too slow must not be kept so by those
// who ask again.
func (c *crowd) insist(
	ctx context.Context, what string, again func(stackclient.Answer, error) bool, send func() (stackclient.Answer, error),
) (stackclient.Answer, error) {
	deadline := time.Now().Add(c.cfg.Patience)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		a, err := send()
		if ctx.Err() != nil {
			return a, ctx.Err()
		}
		if !again(a, err) {
			return a, err
		}
		c.failed(what, a, err)
		if time.Now().After(deadline) {
			if err == nil {
				err = &stackclient.StatusError{Call: what, Answer: a}
			}
			return a, fmt.Errorf("given up after %v: %w", c.cfg.Patience, err)
		}
		if err := stackclient.Sleep(ctx, pause/2+rand.N(pause/2)); err != nil {
			return a, err
		}
	}
}

// settle is called twice for each order; then it is open no more.
func (c *crowd) settle(o *order) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.waits--; o.waits > 0 {
		return
	}
	c.now.open--
	select {
	case c.moved <- struct{}{}:
	default: // it is told already
	}
}

func (c *crowd) fail(ctx context.Context, o *order, what string, err error) {
	if ctx.Err() != nil {
		return // nobody waits for it any more
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o.failure = fmt.Sprintf("%s: %v", what, err)
}

// drain blocks until no order is open, none has ended for as long as patience lasts, or ctx has ended.
func (c *crowd) drain(ctx context.Context) {
	patience := time.NewTimer(c.cfg.Patience)
	defer patience.Stop()
	for c.counts().open > 0 {
		select {
		case <-c.moved:
			patience.Reset(c.cfg.Patience)
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Failure is one way in which requests failed.
type Failure struct {
	Kind    string `json:"kind"`
	Count   int    `json:"count"`
	Example string `json:"example"`
}

// failed counts a request that had no answer, or a bad one.
func (c *crowd) failed(what string, a stackclient.Answer, err error) {
	kind := what + ": " + kindOf(a, err)
	if err == nil {
		err = &stackclient.StatusError{Call: what, Answer: a}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.failed++
	f := c.failures[kind]
	if f == nil {
		f = &Failure{Kind: kind, Example: err.Error()}
		c.failures[kind] = f
	}
	f.Count++
}

func kindOf(a stackclient.Answer, err error) string {
	var (
		network net.Error
		status  *stackclient.StatusError
	)
	switch {
	case errors.As(err, &status):
		return fmt.Sprintf("%d %s", status.Answer.Status, http.StatusText(status.Answer.Status))
	case err == nil:
		return fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection lost"
	default:
		return "no answer"
	}
}
