package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

// crowd is many orders of the three stories at once.
type crowd struct {
	plenty, scarce string // products
	units          int    // of the scarce one
	mu             sync.Mutex
	want           map[string]string // order → story
}

const (
	storyPays     = "pays"
	storyDeclined = "declined"
	storyScarce   = "scarce"
)

// orderAll places n orders from as many customers as there are goroutines, and returns when all are accepted.
func (c *crowd) orderAll(t *testing.T, n int) {
	t.Helper()
	const customers = 64
	var (
		wg   sync.WaitGroup
		next = make(chan int)
	)
	for range customers {
		wg.Go(func() {
			for i := range next {
				story, req := storyPays, orderOf(c.plenty, 1)
				switch i % 10 {
				case 0, 1, 2:
					story, req = storyDeclined, orderOf(c.plenty, 2)
					req.PaymentMethod = declined
				case 3, 4, 5:
					story, req = storyScarce, orderOf(c.scarce, 1)
				}
				id := shop.place(t, req)
				c.mu.Lock()
				c.want[id] = story
				c.mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// check waits for every order's end and compares it with the books of the shop, the processor and the carrier.
func (c *crowd) check(t *testing.T) {
	t.Helper()
	ends := map[string]orderView{}
	for id := range c.want {
		shop.eventually(t, "order "+id+" ends", func() bool {
			o, ok := shop.orderState(t, id)
			ends[id] = o
			return ok && o.terminal()
		})
	}
	intents, parcels := shop.intents(t), shop.parcels(t)
	sold := map[string]int{}
	for id, o := range ends {
		story := c.want[id]
		switch {
		case story == storyPays && o.State != "completed",
			story == storyDeclined && (o.State != "cancelled" || o.Reason != "card_declined"),
			story == storyScarce && o.State == "cancelled" && o.Reason != "out_of_stock":
			t.Errorf("order %s (%s) ended %s (%s)", id, story, o.State, o.Reason)
		}
		captures, net := 0, int64(0)
		for _, i := range intents[id] {
			captures += i.Captures
			net += i.net()
		}
		switch o.State {
		case "completed":
			if captures != 1 || net != o.Total.Amount {
				t.Errorf("order %s is completed: %d captures, %d kept of %d", id, captures, net, o.Total.Amount)
			}
			if p := parcels[id]; len(p) != 1 || p[0].State != "delivered" {
				t.Errorf("order %s is completed: parcels %+v", id, p)
			}
			sold[story]++
		case "cancelled":
			if net != 0 || captures > 1 {
				t.Errorf("order %s is cancelled: %d captures, %d kept", id, captures, net)
			}
			if len(parcels[id]) != 0 {
				t.Errorf("order %s is cancelled: parcels %+v", id, parcels[id])
			}
		}
	}
	if sold[storyScarce] != c.units {
		t.Errorf("%d of %d scarce units were sold", sold[storyScarce], c.units)
	}
	supplied := len(c.want) * 2
	shop.eventually(t, "the stock is settled", func() bool {
		p := shop.product(t, c.plenty)
		return p.Reserved == 0 && p.OnHand == supplied-sold[storyPays]
	}, func() string {
		return strings.TrimSpace(string(shop.must(t, http.StatusOK, http.MethodGet, shop.Inventory+"/api/v1/products/"+c.plenty, nil).body))
	})
	shop.eventually(t, "the scarce stock is settled", func() bool {
		p := shop.product(t, c.scarce)
		return p.Reserved == 0 && p.OnHand == 0
	})
}

func newCrowd(t *testing.T, orders, units int) *crowd {
	t.Helper()
	return &crowd{
		plenty: shop.stock(t, "programme", orders*2), scarce: shop.stock(t, "box-seat", units), units: units,
		want: map[string]string{},
	}
}

func TestThousandOrders_EndRightWithoutOversellOrDoubleCharge(t *testing.T) {
	c := newCrowd(t, 1000, 100)
	c.orderAll(t, 1000)
	c.check(t)
}

// Each program in turn is killed in the middle of a crowd and started again.
func TestKilledInTheMiddle_ChangesNothing(t *testing.T) {
	for _, victim := range []string{"order", "inventory", "payment", "shipping", "sims"} {
		t.Run(victim, func(t *testing.T) {
			c := newCrowd(t, 200, 20)
			var ordering sync.WaitGroup
			ordering.Go(func() { c.orderAll(t, 200) })
			shop.eventually(t, "the crowd is in full swing", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return len(c.want) >= 60
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
