package load

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/quadrille-dev/quadrille/verify/reconcile"
)

// Summary is how a run went. Its lists are never null; times are in seconds.
type Summary struct {
	Status     int       `json:"status"` // the exit status
	StartedAt  time.Time `json:"startedAt"`
	Asked      Asked     `json:"asked"`
	EndedEarly bool      `json:"endedEarly"` // not everybody came, because it was enough

	Offered   Flow      `json:"offered"` // customers who came
	Late      Late      `json:"late"`
	Dropped   int       `json:"dropped"`  // turned away, because too many orders were open
	Accepted  Flow      `json:"accepted"` // until the last answer
	Ended     Endings   `json:"ended"`    // until the last end
	Abandoned int       `json:"abandoned"`
	Stories   []Chapter `json:"stories"`
	All       Chapter   `json:"all"`
	Wrong     []Wrong   `json:"wrong"`
	Errors    []Failure `json:"errors"`

	Shelf       string         `json:"shelf,omitempty"` // what is not as it should be on the shelf
	Ledger      *reconcile.Report `json:"ledger,omitempty"`
	LedgerError string         `json:"ledgerError,omitempty"` // why there is no report
}

// Asked is what the run was to do.
type Asked struct {
	PerSecond float64 `json:"perSecond"`
	Seconds   float64 `json:"seconds"`
	Orders    int     `json:"orders"`
	Mix       string  `json:"mix"`
	InFlight  int     `json:"inFlight"`
}

// Flow is how many orders there were in what time, counted from the first customer.
type Flow struct {
	Orders    int     `json:"orders"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"perSecond"`
}

func flowOf(orders int, in time.Duration) Flow {
	f := Flow{Orders: orders, Seconds: in.Seconds()}
	if in > 0 {
		f.PerSecond = float64(orders) / f.Seconds
	}
	return f
}

// Late are customers who came more than 10 ms after their time, because whatever sends them was busy.
type Late struct {
	Orders     int     `json:"orders"`
	MaxSeconds float64 `json:"maxSeconds"`
}

// Endings are the orders that ended.
type Endings struct {
	Flow
	// TailSeconds is how long the last order ended after the arrivals were over.
	TailSeconds float64 `json:"tailSeconds"`
	// FirstThird and LastThird are the medians until the end of those who came first and last. If the second is much
	// longer, the shop did not keep up.
	FirstThird float64 `json:"firstThirdP50"`
	LastThird  float64 `json:"lastThirdP50"`
	// SeenEvery is how often it was looked, on average and at worst: an end may have been that much earlier.
	SeenEvery    float64 `json:"seenEvery"`
	SeenEveryMax float64 `json:"seenEveryMax"`
}

// Chapter is how one story went.
type Chapter struct {
	Story    string         `json:"story"`
	Orders   int            `json:"orders"`
	Accepted Latency        `json:"accepted"` // from when the customer was to come until the order was accepted
	Ended    Latency        `json:"ended"`    // and until it was completed or cancelled
	Outcomes map[string]int `json:"outcomes"`
	Wrong    int            `json:"wrong"` // of the outcomes, those that are not as expected
}

// Wrong is an order that is not as its story has it.
type Wrong struct {
	OrderID  string   `json:"orderId,omitempty"`
	Story    string   `json:"story"`
	Expected []string `json:"expected"` // one of these
	Found    string   `json:"found"`
}

// What is found of orders that have not ended.
const (
	notAccepted = "not accepted"
	notEnded    = "not ended"
)

// found is how the order went, and whether its story may go so. What was abandoned is neither right nor wrong.
func (o *order) found(abandoned bool) (outcome, wrong string) {
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
	case o.refused && outcome != stories[0].ends[0]:
		return outcome, outcome + ", although it was too late to cancel"
	default:
		return outcome, ""
	}
}

// ids are the orders that were accepted.
func (c *crowd) ids() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.orders {
		if o.id != "" {
			ids = append(ids, o.id)
		}
	}
	return ids
}

// sold counts what has left the shelf, by sku. It is not known while an order may be open.
func (c *crowd) sold() (bySKU map[string]int, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bySKU = map[string]int{}
	for _, o := range c.orders {
		if o.outcome == "" {
			return nil, false
		}
		if o.outcome == stories[0].ends[0] {
			bySKU[o.sku]++
		}
	}
	return bySKU, true
}

// summary sums up what is known, once nothing changes any more.
func (c *crowd) summary(start, closed time.Time, came int, abandoned bool) Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Summary{
		StartedAt: start.UTC(), Offered: flowOf(came, closed.Sub(start)), Late: c.late, Dropped: c.now.dropped,
		Asked: Asked{
			PerSecond: c.cfg.Rate, Seconds: c.cfg.For.Seconds(), Orders: planned(c.cfg.Rate, c.cfg.For).n,
			Mix: c.cfg.Mix.String(), InFlight: c.cfg.InFlight,
		},
		Stories: []Chapter{}, Wrong: []Wrong{}, Errors: []Failure{},
	}
	var lastAccepted, lastEnded time.Time
	for _, o := range c.orders {
		if o.id != "" {
			lastAccepted = latest(lastAccepted, o.due.Add(o.accepted))
		}
		if o.outcome != "" {
			lastEnded = latest(lastEnded, o.due.Add(o.ended))
		} else if _, wrong := o.found(abandoned); wrong == "" {
			s.Abandoned++
		}
		if _, wrong := o.found(abandoned); wrong != "" {
			s.Wrong = append(s.Wrong, Wrong{o.id, o.story.name, o.story.ends, wrong})
		}
	}
	s.Accepted = flowOf(c.now.accepted, latest(lastAccepted, closed).Sub(start))
	s.Ended = c.endings(start, closed, lastEnded)
	s.All = chapter("all", c.orders, abandoned)
	for _, share := range c.cfg.Mix {
		told := slices.DeleteFunc(slices.Clone(c.orders), func(o *order) bool { return o.story.name != share.Story })
		s.Stories = append(s.Stories, chapter(share.Story, told, abandoned))
	}
	for _, f := range slices.SortedFunc(maps.Values(c.failures), func(a, b *Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Kind, b.Kind))
	}) {
		s.Errors = append(s.Errors, *f)
	}
	return s
}

func (c *crowd) endings(start, closed, last time.Time) Endings {
	e := Endings{SeenEveryMax: c.looks.longest.Seconds()}
	if c.looks.rounds > 0 {
		e.SeenEvery = c.looks.between.Seconds() / float64(c.looks.rounds)
	}
	if c.now.ended == 0 {
		return e
	}
	e.Flow = flowOf(c.now.ended, last.Sub(start))
	e.TailSeconds = max(0, last.Sub(closed).Seconds())
	third := (len(c.orders) + 2) / 3
	e.FirstThird = chapter("", c.orders[:third], true).Ended.P50
	e.LastThird = chapter("", c.orders[len(c.orders)-third:], true).Ended.P50
	return e
}

func chapter(story string, orders []*order, abandoned bool) Chapter {
	ch := Chapter{Story: story, Orders: len(orders), Outcomes: map[string]int{}}
	var accepted, ended []time.Duration
	for _, o := range orders {
		if o.id != "" {
			accepted = append(accepted, o.accepted)
		}
		if o.outcome != "" {
			ended = append(ended, o.ended)
		}
		outcome, wrong := o.found(abandoned)
		ch.Outcomes[outcome]++
		if wrong != "" {
			ch.Wrong++
		}
	}
	ch.Accepted, ch.Ended = latencyOf(accepted), latencyOf(ended)
	return ch
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// status has the ledger's meanings.
func (s Summary) status() int {
	switch {
	case len(s.Wrong) > 0 || s.Shelf != "" || s.Ledger != nil && s.Ledger.Status() == reconcile.StatusFindings:
		return reconcile.StatusFindings
	case s.Abandoned > 0 || s.LedgerError != "" || s.Ledger != nil && s.Ledger.Status() != reconcile.StatusClean:
		return reconcile.StatusNotChecked
	default:
		return reconcile.StatusClean
	}
}
