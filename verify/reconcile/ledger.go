package reconcile

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// The pauses between two readings grow from the first to the second.
const (
	firstPause = 300 * time.Millisecond
	lastPause  = time.Second
)

// Config says where the books are and what to judge them by.
type Config struct {
	// URLs are the addresses of the Parties, without /ops/audit. All are needed; see CheckURL.
	URLs map[string]string
	// Token opens their books.
	Token string
	// Topologies say who subscribes to what.
	Topologies []transport.Topology
	// Depths answers how many messages are in each queue, as rabbitmq.Depths does. Nil: the broker is not asked.
	Depths func(ctx context.Context) (map[string]int, error)

	// Overdue is how long an order, or an event, may take to get on.
	Overdue time.Duration
	// Confirm is how long a mismatch must be there, in every reading, to be a finding. Zero: one reading.
	Confirm time.Duration
	// Wait bounds a check. What is not confirmed by then is reported as such.
	Wait time.Duration
	// Settled makes a check wait until nothing is under way, and fail if something still is.
	Settled bool
	// Orders restricts a check to what concerns these. None: everything.
	Orders []string

	// Now and Sleep are the clock. Default: the real one.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration)
}

// Ledger checks the shop. Its methods may not be called at the same time.
type Ledger struct {
	cfg    Config
	terms  terms
	client *http.Client
}

// New makes a ledger; Close it.
func New(cfg Config) *Ledger {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	l := &Ledger{cfg: cfg, terms: terms{limit: cfg.Overdue, only: slices.Sorted(slices.Values(cfg.Orders))}, client: newClient()}
	for _, t := range cfg.Topologies {
		l.terms.queues = append(l.terms.queues, t.Queues...)
	}
	return l
}

// Close lets connections go.
func (l *Ledger) Close() { l.client.CloseIdleConnections() }

// Check reads and judges the books until the judgement stands: nothing is found, or what is found has been there for
// Config.Confirm. It blocks for Config.Wait at most, plus two readings. Its only error is that ctx has ended.
func (l *Ledger) Check(ctx context.Context) (Report, error) {
	var (
		begin time.Time                // the end of the first reading
		since = map[string]time.Time{} // when a doubt came up that has been there ever since
	)
	for pause := firstPause; ; pause = min(pause*3/2, lastPause) {
		b := l.fetch(ctx)
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		s := arrange(b, l.terms)
		found := judge(s)
		now := l.cfg.Now()
		if begin.IsZero() {
			begin = now
		}

		doubts := map[string]time.Time{}
		stands := true
		doubt := func(key string) {
			first, before := since[key]
			if !before {
				first = now
			}
			doubts[key] = first
			stands = stands && now.Sub(first) >= l.cfg.Confirm
		}
		for _, m := range found {
			if !m.lag {
				doubt(m.key())
			}
		}
		for _, g := range b.missing {
			if !g.final {
				doubt("gap|" + g.party)
			}
		}
		since = doubts

		confirmed := func(m Mismatch) bool { return !m.lag && now.Sub(since[m.key()]) >= l.cfg.Confirm }
		report := summarize(s, found, confirmed, l.cfg)
		if stands && (!l.cfg.Settled || report.UnderWay.none()) || now.Sub(begin) >= l.cfg.Wait {
			return report, nil
		}
		l.cfg.Sleep(ctx, min(pause, max(0, l.cfg.Wait-now.Sub(begin))))
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
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
