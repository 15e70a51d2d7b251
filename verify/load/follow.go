package load

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// group is some orders that are under the name of one customer, so that a single question is enough to see them all.
type group struct {
	customer string
	open     map[string]*order // accepted, and not known to have ended
}

const (
	// lookEvery and lookAtLeast are the least and the longest pause between two rounds of looking at the orders that are
	// open; restFor is how long to leave the shop alone in relation to how long a round took.
	lookEvery   = 250 * time.Millisecond
	lookAtLeast = 2 * time.Second
	restFor     = 3
	lookers     = 4
)

// looks say how exactly the end of an order is known.
type looks struct {
	rounds  int
	between time.Duration // all of them
	longest time.Duration
}

// follow looks at the open orders, round after round, until ctx has ended.
func (c *crowd) follow(ctx context.Context) {
	last := time.Now()
	for pause := lookEvery; stackclient.Sleep(ctx, pause) == nil; {
		began := time.Now()
		if c.look(ctx) {
			c.looked(began.Sub(last))
		}
		last = began
		pause = min(max(lookEvery, restFor*time.Since(began)), lookAtLeast)
	}
}

// look says whether there was anything to look at.
func (c *crowd) look(ctx context.Context) bool {
	groups := c.groupsUnderWay()
	var round errgroup.Group
	round.SetLimit(lookers)
	for _, g := range groups {
		round.Go(func() error {
			list, err := c.client.OrdersOf(ctx, g.customer)
			if err == nil {
				c.end(g, list)
			} else if ctx.Err() == nil {
				c.failed("look", stackclient.Answer{}, err) // the next round asks again
			}
			return nil
		})
	}
	_ = round.Wait() // none of them fails
	return len(groups) > 0
}

func (c *crowd) groupsUnderWay() []*group {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.groups), func(g *group) bool { return len(g.open) == 0 })
}

// end notes which of the group's orders have ended.
func (c *crowd) end(g *group, list []stackclient.Order) {
	for _, now := range list {
		if !now.Ended() {
			continue
		}
		if o := c.close(g, now); o != nil {
			c.settle(o)
		}
	}
}

// close is the order that has just ended, or nil if that is known already.
func (c *crowd) close(g *group, now stackclient.Order) *order {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := g.open[now.ID]
	if o == nil {
		return nil
	}
	delete(g.open, now.ID)
	o.outcome, o.ended = outcomeOf(now), time.Since(o.due)
	c.now.ended++
	return o
}

func (c *crowd) looked(after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks.rounds++
	c.looks.between += after
	c.looks.longest = max(c.looks.longest, after)
}
