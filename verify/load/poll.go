package load

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// group is a number of orders of one customer, so that one request returns all of them.
type group struct {
	customer string
	open     map[string]*order // accepted orders that are not known to have ended, by id
}

const (
	// The shortest and the longest pause between two polls of the open orders. Between these, a pause is pauseFactor times as
	// long as the poll before it took.
	minPollPause = 250 * time.Millisecond
	maxPollPause = 2 * time.Second
	pauseFactor  = 3
	pollers      = 4
)

// polls shows how precisely the end of an order is known.
type polls struct {
	count   int
	total   time.Duration // the sum
	longest time.Duration
}

// pollUntilDone polls the open orders until ctx has ended.
func (g *generator) pollUntilDone(ctx context.Context) {
	last := time.Now()
	for pause := minPollPause; stackclient.Sleep(ctx, pause) == nil; {
		began := time.Now()
		if g.poll(ctx) {
			g.recordPoll(began.Sub(last))
		}
		last = began
		pause = min(max(minPollPause, pauseFactor*time.Since(began)), maxPollPause)
	}
}

// poll reads the open orders once. It reports whether there were any.
func (g *generator) poll(ctx context.Context) bool {
	groups := g.openGroups()
	var round errgroup.Group
	round.SetLimit(pollers)
	for _, gr := range groups {
		round.Go(func() error {
			list, err := g.client.Orders(ctx, gr.customer)
			if err == nil {
				g.recordEnds(gr, list)
			} else if ctx.Err() == nil {
				g.countFailure("poll", stackclient.Response{}, err) // the next poll repeats the request
			}
			return nil
		})
	}
	_ = round.Wait() // the functions return nil
	return len(groups) > 0
}

func (g *generator) openGroups() []*group {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.groups), func(gr *group) bool { return len(gr.open) == 0 })
}

// recordEnds records which of the group's orders have ended.
func (g *generator) recordEnds(gr *group, list []stackclient.Order) {
	for _, now := range list {
		if !now.Ended() {
			continue
		}
		if o := g.recordEnd(gr, now); o != nil {
			g.complete(o)
		}
	}
}

// recordEnd returns the order, or nil if its end is recorded already.
func (g *generator) recordEnd(gr *group, now stackclient.Order) *order {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := gr.open[now.ID]
	if o == nil {
		return nil
	}
	delete(gr.open, now.ID)
	o.outcome, o.ended = toOutcome(now), time.Since(o.due)
	g.current.ended++
	return o
}

func (g *generator) recordPoll(after time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.polls.count++
	g.polls.total += after
	g.polls.longest = max(g.polls.longest, after)
}
