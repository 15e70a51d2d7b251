package reconcile

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// The pauses between two readings grow from the first to the second.
const (
	firstPause = 300 * time.Millisecond
	lastPause  = time.Second
)

// Config configures a check.
type Config struct {
	// URLs are the base URLs of the Sources, without /ops/audit. All are required; see CheckURL.
	URLs map[string]string
	// Token is the operators' token.
	Token string
	// Topologies have the subscriptions of all services.
	Topologies []transport.Topology
	// Depths returns the number of messages in each queue, as rabbitmq.Depths does. Nil: queues are not checked.
	Depths func(ctx context.Context) (map[string]int, error)

	// Overdue is how long an order or an event may wait.
	Overdue time.Duration
	// Confirm is how long a mismatch must be in every reading to be a finding. Zero: one reading suffices.
	Confirm time.Duration
	// Wait is the longest time that a check takes. What is not confirmed by then is reported as under way.
	Wait time.Duration
	// Settled makes a check wait until nothing is under way, and fail if something still is.
	Settled bool
	// Orders restricts a check to these orders. Empty: everything is checked.
	Orders []string

	// Now and Sleep are the clock. Default: the system's.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration)
}

// Checker checks a stack. Its methods must not be called concurrently.
type Checker struct {
	cfg      Config
	criteria criteria
	client   *http.Client
}

// New returns a checker. Close it.
func New(cfg Config) *Checker {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sleep == nil {
		cfg.Sleep = func(ctx context.Context, d time.Duration) { _ = stackclient.Sleep(ctx, d) } // Check reads ctx.Err
	}
	c := &Checker{cfg: cfg, criteria: criteria{limit: cfg.Overdue, only: slices.Sorted(slices.Values(cfg.Orders))}, client: newClient()}
	for _, t := range cfg.Topologies {
		c.criteria.queues = append(c.criteria.queues, t.Queues...)
	}
	return c
}

// Close closes idle connections.
func (c *Checker) Close() { c.client.CloseIdleConnections() }

// Check repeats its readings until the result is stable: there is no mismatch, or every mismatch has been there for
// Config.Confirm. It blocks for Config.Wait at most, plus two readings. It returns an error only if ctx ends.
func (c *Checker) Check(ctx context.Context) (Report, error) {
	var (
		begin time.Time                // the end of the first reading
		since = map[string]time.Time{} // the first of the consecutive readings with a mismatch or gap
	)
	for pause := firstPause; ; pause = min(pause*3/2, lastPause) {
		snapshots := c.fetch(ctx)
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		s := newReading(snapshots, c.criteria)
		found := judge(s)
		now := c.cfg.Now()
		if begin.IsZero() {
			begin = now
		}

		current := map[string]time.Time{}
		stable := true
		observe := func(key string) {
			first, before := since[key]
			if !before {
				first = now
			}
			current[key] = first
			stable = stable && now.Sub(first) >= c.cfg.Confirm
		}
		for _, m := range found {
			if !m.lag {
				observe(m.key())
			}
		}
		for _, g := range snapshots.missing {
			if !g.final {
				observe("gap|" + g.source)
			}
		}
		since = current

		confirmed := func(m Mismatch) bool { return !m.lag && now.Sub(since[m.key()]) >= c.cfg.Confirm }
		report := summarize(s, found, confirmed, c.cfg)
		if stable && (!c.cfg.Settled || report.UnderWay.none()) || now.Sub(begin) >= c.cfg.Wait {
			return report, nil
		}
		c.cfg.Sleep(ctx, min(pause, max(0, c.cfg.Wait-now.Sub(begin))))
	}
}

func sortMismatches(m []Mismatch) {
	slices.SortFunc(m, func(a, b Mismatch) int {
		return cmp.Or(
			slices.Index(Kinds, a.Kind)-slices.Index(Kinds, b.Kind), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.What, b.What),
			cmp.Compare(a.Order, b.Order), cmp.Compare(a.SKU, b.SKU), cmp.Compare(a.ref, b.ref),
		)
	})
}
