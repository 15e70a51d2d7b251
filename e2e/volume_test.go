package e2e

// Audit snapshots grow with each order, which makes later tests slower: the name of this file puts its tests last.

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/e2e/internal/edges"
)

// bulkOrders are many orders of all stories at the same time.
type bulkOrders struct {
	plenty, scarce string // products
	units          int    // of the scarce product
	mu             sync.Mutex
	placed         map[string]*placedOrder // by id
}

type placedOrder struct {
	story          story
	cancelRejected bool // because it came too late
}

type story string

const (
	happy         story = "happy"
	cardDeclined  story = "declined"
	scarceStock   story = "scarce stock"
	undeliverable story = "undeliverable"
	cancelled     story = "cancelled"
)

func newBulkOrders(t *testing.T, orders, units int) *bulkOrders {
	t.Helper()
	return &bulkOrders{
		plenty: stack.addProduct(t, "programme", orders*2), scarce: stack.addProduct(t, "box-seat", units), units: units,
		placed: map[string]*placedOrder{},
	}
}

// request returns the story and the request of the i-th order.
func (b *bulkOrders) request(i int) (story, orderRequest) {
	req := newOrder(b.plenty, 1)
	switch i % 20 {
	case 0, 1, 2:
		req.Items[0].Quantity, req.PaymentMethod = 2, declined
		return cardDeclined, req
	case 3, 4, 5:
		req.Items[0].SKU = b.scarce
		return scarceStock, req
	case 6, 7:
		req.ShippingAddress.PostalCode = "00000"
		return undeliverable, req
	case 8, 9, 10, 11, 12, 13:
		return cancelled, req
	default:
		return happy, req
	}
}

// placeAll places n orders with a fixed number of concurrent customers. It blocks until all orders are accepted and all
// cancel requests have a response.
func (b *bulkOrders) placeAll(t *testing.T, n int) {
	t.Helper()
	const customers = 64
	var (
		placing, cancelling sync.WaitGroup
		next                = make(chan int)
	)
	for range customers {
		placing.Go(func() {
			for i := range next {
				story, req := b.request(i)
				id := stack.place(t, req)
				p := &placedOrder{story: story}
				b.mu.Lock()
				b.placed[id] = p
				b.mu.Unlock()
				if story == cancelled {
					cancelling.Go(func() { p.cancelRejected = cancelAtRandom(t, id) })
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	placing.Wait()
	cancelling.Wait()
}

// cancelAtRandom cancels an order at a random moment: soon after it was placed, or when it reaches a random state. It
// reports whether the cancellation is rejected.
func cancelAtRandom(t *testing.T, id string) (rejected bool) {
	t.Helper()
	if states := []string{"reserved", "paid", "shipped", "completed"}; rand.N(2) == 0 {
		<-time.After(rand.N(2 * time.Second))
	} else {
		target := rand.N(len(states))
		stack.awaitOrder(t, id, "is "+states[target], func(o orderView) bool {
			<-time.After(rand.N(500 * time.Millisecond)) // hundreds of orders are polled
			return o.State == "cancelled" || slices.Index(states, o.State) >= target
		})
	}
	r := stack.cancel(t, id)
	switch r.status {
	case http.StatusAccepted, http.StatusOK:
		return false
	case http.StatusConflict:
		return true
	default:
		t.Errorf("cancel %s: %d %s", id, r.status, r.body)
		return false
	}
}

// check waits for the end of every order, compares it with the story, and reconciles all orders.
func (b *bulkOrders) check(t *testing.T) {
	t.Helper()
	ends, sold := map[string]int{}, map[story]int{}
	ids := make([]string, 0, len(b.placed))
	for id, p := range b.placed {
		o := stack.awaitOrder(t, id, "ends", orderView.terminal)
		if !p.mayEnd(o) {
			t.Errorf("order %s (%s, cancellation rejected: %t) ended %s (%s)", id, p.story, p.cancelRejected, o.State, o.Reason)
		}
		if o.State == "completed" {
			sold[p.story]++
		}
		ends[fmt.Sprintf("%s: %s %s", p.story, o.State, o.Reason)]++
		ids = append(ids, id)
	}
	t.Logf("ends: %v", ends)
	if sold[scarceStock] != b.units {
		t.Errorf("%d of %d scarce units were sold", sold[scarceStock], b.units)
	}
	assertStock(t, b.plenty, 2*len(b.placed)-sold[happy]-sold[cancelled])
	assertStock(t, b.scarce, 0)
	assertReconciled(t, ids...)
	// A killed program loses spans, so that the edges are not compared. All spans that arrived must be of one trace.
	for _, id := range ids {
		traces := map[string]bool{}
		for _, s := range spans.With(edges.Subject, id) {
			traces[s.Trace] = true
		}
		if len(traces) != 1 {
			t.Errorf("order %s is in %d traces", id, len(traces))
		}
	}
}

// mayEnd reports whether the end of the order fits its story.
func (p *placedOrder) mayEnd(o orderView) bool {
	completed := o.State == "completed"
	switch p.story {
	case cardDeclined:
		return !completed && o.Reason == "card_declined"
	case scarceStock:
		return completed || o.Reason == "out_of_stock"
	case undeliverable:
		return !completed && o.Reason == "undeliverable"
	case cancelled:
		// An accepted request may turn out to be too late. A rejected one was too late.
		return completed || o.Reason == "customer" && !p.cancelRejected
	default:
		return completed
	}
}

func TestBulkOrders_AllStoriesReconcile(t *testing.T) {
	long(t)
	b := newBulkOrders(t, 2000, 100)
	b.placeAll(t, 2000)
	b.check(t)
	if report, err := stack.reconcile(); err != nil {
		t.Errorf("reconciliation failed: %v\n%s", err, strings.TrimSpace(report))
	} else {
		t.Log("\n" + report)
	}
}

// Each program is killed while orders are in progress, and started again.
func TestBulkOrders_SurviveKilledProgram(t *testing.T) {
	long(t)
	for _, program := range []string{"order", "inventory", "payment", "shipping", "simulators"} {
		t.Run(program, func(t *testing.T) {
			b := newBulkOrders(t, 200, 20)
			var placing sync.WaitGroup
			placing.Go(func() { b.placeAll(t, 200) })
			stack.eventually(t, "60 orders are placed", func() bool {
				b.mu.Lock()
				defer b.mu.Unlock()
				return len(b.placed) >= 60
			})
			if err := stack.Kill(program); err != nil {
				t.Fatal(err)
			}
			if err := stack.Start(program); err != nil {
				t.Fatal(err)
			}
			placing.Wait()
			b.check(t)
		})
	}
}
