package e2e

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

// crowd is many orders of all stories at once.
type crowd struct {
	plenty, scarce string // products
	units          int    // of the scarce one
	mu             sync.Mutex
	placed         map[string]*placed // by order
}

type placed struct {
	story   story
	refused bool // the cancellation, because it came too late
}

type story string

const (
	pleased       story = "pleased"
	cardDeclined  story = "declined"
	soldOut       story = "scarce"
	undeliverable story = "undeliverable"
	changesMind   story = "changes their mind"
)

// tell makes the order of the i-th customer.
func (c *crowd) tell(i int) (story, orderRequest) {
	req := orderOf(c.plenty, 1)
	switch i % 20 {
	case 0, 1, 2:
		req.Items[0].Quantity, req.PaymentMethod = 2, declined
		return cardDeclined, req
	case 3, 4, 5:
		req.Items[0].SKU = c.scarce
		return soldOut, req
	case 6, 7:
		req.ShippingAddress.PostalCode = "00000"
		return undeliverable, req
	case 8, 9, 10, 11, 12, 13:
		return changesMind, req
	default:
		return pleased, req
	}
}

// orderAll places n orders from as many customers as there are goroutines, and returns when all are accepted and
// everybody who changes their mind, which may be at any moment, has had an answer.
func (c *crowd) orderAll(t *testing.T, n int) {
	t.Helper()
	const customers = 64
	var (
		ordering, cancelling sync.WaitGroup
		next                 = make(chan int)
	)
	for range customers {
		ordering.Go(func() {
			for i := range next {
				story, req := c.tell(i)
				id := shop.place(t, req)
				p := &placed{story: story}
				c.mu.Lock()
				c.placed[id] = p
				c.mu.Unlock()
				if story == changesMind {
					cancelling.Go(func() { p.refused = c.cancelSometime(t, id) })
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	ordering.Wait()
	cancelling.Wait()
}

// cancelSometime cancels at a random moment: soon after the order was placed, or when it has come as far as one of its
// states.
func (c *crowd) cancelSometime(t *testing.T, id string) (refused bool) {
	t.Helper()
	if way := []string{"reserved", "paid", "shipped", "completed"}; rand.N(2) == 0 {
		<-time.After(rand.N(2 * time.Second))
	} else {
		moment := rand.N(len(way))
		shop.eventually(t, "order "+id+" is "+way[moment], func() bool {
			<-time.After(rand.N(500 * time.Millisecond)) // hundreds look
			o, ok := shop.orderState(t, id)
			return ok && (o.State == "cancelled" || slices.Index(way, o.State) >= moment)
		})
	}
	a := shop.cancel(t, id)
	switch a.status {
	case http.StatusAccepted, http.StatusOK:
		return false
	case http.StatusConflict:
		return true
	default:
		t.Errorf("cancel %s: %d %s", id, a.status, a.body)
		return false
	}
}

// check waits for every order's end, compares it with its story, and has the ledger compare everybody's books.
func (c *crowd) check(t *testing.T) {
	t.Helper()
	ends, sold := map[string]int{}, map[story]int{}
	ids := make([]string, 0, len(c.placed))
	for id, p := range c.placed {
		var o orderView
		shop.eventually(t, "order "+id+" ends", func() bool {
			var ok bool
			o, ok = shop.orderState(t, id)
			return ok && o.terminal()
		}, func() string { return fmt.Sprintf("%+v", o) })
		if !p.mayEnd(o) {
			t.Errorf("order %s (%s, refused %t) ended %s (%s)", id, p.story, p.refused, o.State, o.Reason)
		}
		if o.State == "completed" {
			sold[p.story]++
		}
		ends[fmt.Sprintf("%s: %s %s", p.story, o.State, o.Reason)]++
		ids = append(ids, id)
	}
	t.Logf("ends: %v", ends)
	if sold[soldOut] != c.units {
		t.Errorf("%d of %d scarce units were sold", sold[soldOut], c.units)
	}
	assertStock(t, c.plenty, 2*len(c.placed)-sold[pleased]-sold[changesMind])
	assertStock(t, c.scarce, 0)
	assertBooks(t, ids...)
	// Who was killed has not told everything; what was told belongs together.
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

func (p *placed) mayEnd(o orderView) bool {
	completed := o.State == "completed"
	switch p.story {
	case cardDeclined:
		return !completed && o.Reason == "card_declined"
	case soldOut:
		return completed || o.Reason == "out_of_stock"
	case undeliverable:
		return !completed && o.Reason == "undeliverable"
	case changesMind:
		// What was only requested may have come too late; what was refused was too late.
		return completed || o.Reason == "customer" && !p.refused
	default:
		return completed
	}
}

func newCrowd(t *testing.T, orders, units int) *crowd {
	t.Helper()
	return &crowd{
		plenty: shop.stock(t, "programme", orders*2), scarce: shop.stock(t, "box-seat", units), units: units,
		placed: map[string]*placed{},
	}
}

func TestTwoThousandOrdersOfAllStories_LeaveCleanBooks(t *testing.T) {
	c := newCrowd(t, 2000, 100)
	c.orderAll(t, 2000)
	c.check(t)
	if report, err := shop.ledger(); err != nil {
		t.Errorf("the ledger is off: %v\n%s", err, strings.TrimSpace(report))
	} else {
		t.Log("\n" + report)
	}
}

// Each program in turn is killed in the middle of a crowd and started again.
func TestKilledInTheMiddle_ChangesNothing(t *testing.T) {
	for _, victim := range []string{"order", "inventory", "payment", "shipping", "simulators"} {
		t.Run(victim, func(t *testing.T) {
			c := newCrowd(t, 200, 20)
			var ordering sync.WaitGroup
			ordering.Go(func() { c.orderAll(t, 200) })
			shop.eventually(t, "the crowd is in full swing", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return len(c.placed) >= 60
			})
			if err := shop.Kill(victim); err != nil {
				t.Fatal(err)
			}
			if err := shop.Start(victim); err != nil {
				t.Fatal(err)
			}
			ordering.Wait()
			c.check(t)
		})
	}
}
