package load

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/quadrille-dev/quadrille/verify/reconcile"
)

// Summary is the result of a run. Its lists are never null. Times are in seconds.
type Summary struct {
	Status       int       `json:"status"` // the exit status
	StartedAt    time.Time `json:"startedAt"`
	Requested    Requested `json:"requested"`
	StoppedEarly bool      `json:"stoppedEarly"` // not all orders were placed

	Offered   Flow          `json:"offered"` // orders that were due
	Late      Late          `json:"late"`
	Dropped   int           `json:"dropped"`  // not sent, because too many orders were open
	Accepted  Flow          `json:"accepted"` // until the last response
	Ended     EndedOrders   `json:"ended"`    // until the last end
	Abandoned int           `json:"abandoned"`
	Stories   []StoryResult `json:"stories"`
	All       StoryResult   `json:"all"`
	Wrong     []Wrong       `json:"wrong"`
	Errors    []Failure     `json:"errors"`

	Stock               string            `json:"stock,omitempty"` // how the stock differs from the expected one
	Reconciliation      *reconcile.Report `json:"reconciliation,omitempty"`
	ReconciliationError string            `json:"reconciliationError,omitempty"` // why there is no report
}

// Requested is the configuration of the run.
type Requested struct {
	PerSecond float64 `json:"perSecond"`
	Seconds   float64 `json:"seconds"`
	Orders    int     `json:"orders"`
	Mix       string  `json:"mix"`
	InFlight  int     `json:"inFlight"`
}

// Flow is a number of orders, and the time since the first one was due.
type Flow struct {
	Orders    int     `json:"orders"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"perSecond"`
}

func newFlow(orders int, in time.Duration) Flow {
	f := Flow{Orders: orders, Seconds: in.Seconds()}
	if in > 0 {
		f.PerSecond = float64(orders) / f.Seconds
	}
	return f
}

// Late are orders that were sent more than 10 ms after they were due, because the machine was busy.
type Late struct {
	Orders     int     `json:"orders"`
	MaxSeconds float64 `json:"maxSeconds"`
}

// EndedOrders are the orders that ended.
type EndedOrders struct {
	Flow
	// TailSeconds is the time between the end of the placing of orders and the end of the last order.
	TailSeconds float64 `json:"tailSeconds"`
	// FirstThird and LastThird are the medians, until the end, of the first and the last third of the orders. If the second is
	// much longer, the stack did not keep up.
	FirstThird float64 `json:"firstThirdP50"`
	LastThird  float64 `json:"lastThirdP50"`
	// PollInterval and MaxPollInterval are the average and the longest interval between two polls of the open orders. An
	// order may have ended that much earlier.
	PollInterval    float64 `json:"pollInterval"`
	MaxPollInterval float64 `json:"maxPollInterval"`
}

// StoryResult is the result of one story.
type StoryResult struct {
	Story    string         `json:"story"`
	Orders   int            `json:"orders"`
	Accepted Latency        `json:"accepted"` // from the time at which the order was due
	Ended    Latency        `json:"ended"`    // until it was completed or cancelled
	Outcomes map[string]int `json:"outcomes"`
	Wrong    int            `json:"wrong"` // the number of unexpected outcomes
}

// Wrong is an order with an unexpected outcome.
type Wrong struct {
	OrderID  string   `json:"orderId,omitempty"`
	Story    string   `json:"story"`
	Expected []string `json:"expected"` // one of these
	Found    string   `json:"found"`
}

// The outcomes of orders that have not ended.
const (
	notAccepted = "not accepted"
	notEnded    = "not ended"
)

// result returns the outcome, and a description of it if it is unexpected. An abandoned order is neither expected nor
// unexpected.
func (o *order) result(abandoned bool) (outcome, wrong string) {
	switch {
	case o.id == "":
		outcome = notAccepted
	case o.outcome == "":
		outcome = notEnded
	default:
		outcome = o.outcome
	}
	switch {
	case o.failure != "":
		return outcome, o.failure
	case outcome == notAccepted || outcome == notEnded:
		if abandoned {
			return outcome, ""
		}
		return outcome, outcome
	case !slices.Contains(o.story.ends, outcome):
		return outcome, outcome
	case o.cancelRejected && outcome != completed:
		return outcome, outcome + ", although the cancellation was too late"
	default:
		return outcome, ""
	}
}

// ids returns the orders that were accepted.
func (g *generator) ids() (ids []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, o := range g.orders {
		if o.id != "" {
			ids = append(ids, o.id)
		}
	}
	return ids
}

// sold returns the number of units that were sold, by SKU. It is not known while an order is open.
func (g *generator) sold() (bySKU map[string]int, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	bySKU = map[string]int{}
	for _, o := range g.orders {
		if o.outcome == "" {
			return nil, false
		}
		if o.outcome == completed {
			bySKU[o.sku]++
		}
	}
	return bySKU, true
}

// summary returns the summary. The caller has stopped everything that changes the orders.
func (g *generator) summary(start, closed time.Time, placed int, abandoned bool) Summary {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Summary{
		StartedAt: start.UTC(), Offered: newFlow(placed, closed.Sub(start)), Late: g.late, Dropped: g.current.dropped,
		Requested: Requested{
			PerSecond: g.cfg.Rate, Seconds: g.cfg.For.Seconds(), Orders: newSchedule(g.cfg.Rate, g.cfg.For).n,
			Mix: g.cfg.Mix.String(), InFlight: g.cfg.InFlight,
		},
		Stories: []StoryResult{}, Wrong: []Wrong{}, Errors: []Failure{},
	}
	var lastAccepted, lastEnded time.Time
	for _, o := range g.orders {
		if o.id != "" {
			lastAccepted = latest(lastAccepted, o.due.Add(o.accepted))
		}
		if o.outcome != "" {
			lastEnded = latest(lastEnded, o.due.Add(o.ended))
		} else if _, wrong := o.result(abandoned); wrong == "" {
			s.Abandoned++
		}
		if _, wrong := o.result(abandoned); wrong != "" {
			s.Wrong = append(s.Wrong, Wrong{o.id, o.story.name, o.story.ends, wrong})
		}
	}
	s.Accepted = newFlow(g.current.accepted, latest(lastAccepted, closed).Sub(start))
	s.Ended = g.endedOrders(start, closed, lastEnded)
	s.All = newStoryResult("all", g.orders, abandoned)
	for _, share := range g.cfg.Mix {
		ofStory := slices.DeleteFunc(slices.Clone(g.orders), func(o *order) bool { return o.story.name != share.Story })
		s.Stories = append(s.Stories, newStoryResult(share.Story, ofStory, abandoned))
	}
	for _, f := range slices.SortedFunc(maps.Values(g.failures), func(a, b *Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Kind, b.Kind))
	}) {
		s.Errors = append(s.Errors, *f)
	}
	return s
}

func (g *generator) endedOrders(start, closed, last time.Time) EndedOrders {
	e := EndedOrders{MaxPollInterval: g.polls.longest.Seconds()}
	if g.polls.count > 0 {
		e.PollInterval = g.polls.total.Seconds() / float64(g.polls.count)
	}
	if g.current.ended == 0 {
		return e
	}
	e.Flow = newFlow(g.current.ended, last.Sub(start))
	e.TailSeconds = max(0, last.Sub(closed).Seconds())
	third := (len(g.orders) + 2) / 3
	e.FirstThird = newStoryResult("", g.orders[:third], true).Ended.P50
	e.LastThird = newStoryResult("", g.orders[len(g.orders)-third:], true).Ended.P50
	return e
}

func newStoryResult(story string, orders []*order, abandoned bool) StoryResult {
	ch := StoryResult{Story: story, Orders: len(orders), Outcomes: map[string]int{}}
	var accepted, ended []time.Duration
	for _, o := range orders {
		if o.id != "" {
			accepted = append(accepted, o.accepted)
		}
		if o.outcome != "" {
			ended = append(ended, o.ended)
		}
		outcome, wrong := o.result(abandoned)
		ch.Outcomes[outcome]++
		if wrong != "" {
			ch.Wrong++
		}
	}
	ch.Accepted, ch.Ended = newLatency(accepted), newLatency(ended)
	return ch
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// status returns the exit status.
func (s Summary) status() int {
	switch {
	case len(s.Wrong) > 0 || s.Stock != "" || s.Reconciliation != nil && s.Reconciliation.Status() == reconcile.StatusFindings:
		return reconcile.StatusFindings
	case s.Abandoned > 0 || s.ReconciliationError != "" || s.Reconciliation != nil && s.Reconciliation.Status() != reconcile.StatusClean:
		return reconcile.StatusNotChecked
	default:
		return reconcile.StatusClean
	}
}
