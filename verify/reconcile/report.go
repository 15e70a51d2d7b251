package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
)

// Exit statuses of a report.
const (
	StatusClean      = 0
	StatusFindings   = 1 // or not settled, if that was asked for
	StatusNotChecked = 3 // clean as far as checked; or not checked at all
)

// Report is the outcome of a check. Its lists are never null.
type Report struct {
	At         time.Time `json:"at"`
	Clean      bool      `json:"clean"` // everything was checked, and nothing found; the same as StatusClean
	Checked    Checked   `json:"checked"`
	Findings   []Finding `json:"findings"`
	UnderWay   UnderWay  `json:"underWay"`
	NotChecked []string  `json:"notChecked"`

	settled  bool     // was asked for
	unjudged []string // kinds
}

// Judged says whether everybody answered who has a say in a kind of findings. If not, some may be hidden.
func (r Report) Judged(kind string) bool { return !slices.Contains(r.unjudged, kind) }

// Checked sums up what the books say. What was not read is left out.
type Checked struct {
	Orders  map[string]int  `json:"orders,omitempty"` // by state
	Money   map[string]Till `json:"money,omitempty"`  // by currency
	Stock   *Warehouse      `json:"stock,omitempty"`
	Parcels map[string]int  `json:"parcels,omitempty"` // by state, at the carrier
	Events  *Deliveries     `json:"events,omitempty"`
	Queues  *Queues         `json:"queues,omitempty"`
}

func (c Checked) empty() bool {
	return c.Orders == nil && c.Money == nil && c.Stock == nil && c.Parcels == nil && c.Events == nil && c.Queues == nil
}

// Till is what the processor has of a currency, in minor units.
type Till struct {
	Captured int64 `json:"captured"`
	Refunded int64 `json:"refunded"`
	Kept     int64 `json:"kept"`
}

// Warehouse is all stock, in pieces.
type Warehouse struct {
	Products int `json:"products"`
	Supplied int `json:"received"`
	OnHand   int `json:"onHand"`
	Reserved int `json:"reserved"`
	Shipped  int `json:"shipped"`
}

// Deliveries are the events that are known to be published, and what their subscribers were owed and have taken.
type Deliveries struct {
	Published int `json:"published"`
	Due       int `json:"due"`
	Taken     int `json:"consumed"`
}

// Queues are the messages on the broker that nobody holds.
type Queues struct {
	Waiting  int `json:"waiting"`
	Retrying int `json:"retrying"`
	Dead     int `json:"dead"`
}

// Finding is what does not add up, with everything that it is true of. Details say what is particular about each.
type Finding struct {
	Kind    string   `json:"kind"`
	Rule    string   `json:"rule"`
	What    string   `json:"what"`
	Orders  []string `json:"orders"`
	SKUs    []string `json:"skus"`
	Details []string `json:"details"`

	mismatches []Mismatch
}

// Keys tell what the finding is true of from check to check.
func (f Finding) Keys() []string {
	keys := make([]string, len(f.mismatches))
	for i, m := range f.mismatches {
		keys[i] = m.key()
	}
	return keys
}

// Count is how many orders, products, events or queues the finding is true of.
func (f Finding) Count() int { return len(f.mismatches) }

// UnderWay is what is not finished and has no reason to worry yet.
type UnderWay struct {
	Orders      int       `json:"orders"`
	Events      int       `json:"events"`
	Unconfirmed []Finding `json:"unconfirmed"` // seen, but not for long enough, or an event under way may mend it
	Some        []string  `json:"some"`        // a few of the orders and events
}

func (u UnderWay) none() bool { return u.Orders == 0 && u.Events == 0 && len(u.Unconfirmed) == 0 }

// Count adds up all that is under way.
func (u UnderWay) Count() int {
	n := u.Orders + u.Events
	for _, f := range u.Unconfirmed {
		n += f.Count()
	}
	return n
}

// Status is the exit status.
func (r Report) Status() int {
	switch {
	case len(r.Findings) > 0 || r.unsettled():
		return StatusFindings
	case len(r.NotChecked) > 0:
		return StatusNotChecked
	default:
		return StatusClean
	}
}

func (r Report) unsettled() bool { return r.settled && !r.UnderWay.none() }

func summarize(s *shop, found []Mismatch, confirmed func(Mismatch) bool, cfg Config) Report {
	var sure, unsure []Mismatch
	for _, m := range found {
		if confirmed(m) {
			sure = append(sure, m)
		} else {
			unsure = append(unsure, m)
		}
	}
	r := Report{
		At: s.at.UTC(), Checked: s.checked(), Findings: group(sure), UnderWay: s.underWay(), NotChecked: s.notChecked(cfg),
		settled: cfg.Settled,
	}
	for _, g := range s.missing {
		r.unjudged = append(r.unjudged, s.kindsFrom(g.party)...)
	}
	r.UnderWay.Unconfirmed = group(unsure)
	r.Clean = r.Status() == StatusClean
	return r
}

// group puts together what is said in the same words.
func group(mismatches []Mismatch) []Finding {
	sortMismatches(mismatches)
	findings := []Finding{}
	for _, m := range mismatches {
		last := len(findings) - 1
		if last < 0 || findings[last].Kind != m.Kind || findings[last].Rule != m.Rule || findings[last].What != m.What {
			findings = append(findings, Finding{
				Kind: m.Kind, Rule: m.Rule, What: m.What, Orders: []string{}, SKUs: []string{}, Details: []string{},
			})
			last++
		}
		f := &findings[last]
		f.mismatches = append(f.mismatches, m)
		if m.Order != "" && !slices.Contains(f.Orders[max(0, len(f.Orders)-1):], m.Order) { // they are sorted
			f.Orders = append(f.Orders, m.Order)
		}
		if m.SKU != "" && !slices.Contains(f.SKUs, m.SKU) {
			f.SKUs = append(f.SKUs, m.SKU)
		}
		f.Details = append(f.Details, m.line())
	}
	return findings
}

// line is what the mismatch concerns, and what is particular about it.
func (m Mismatch) line() string {
	subject := strings.TrimSpace(m.Order + " " + m.SKU)
	switch {
	case m.Detail == "":
		return subject
	case subject == "":
		return m.Detail
	default:
		return subject + ": " + m.Detail
	}
}

const someLimit = 5

func (s *shop) underWay() (u UnderWay) {
	u.Some = []string{}
	if s.books.order != nil {
		for _, id := range slices.Sorted(maps.Keys(s.orders)) {
			o := s.orders[id]
			if !o.terminal() && !o.Stalled && !s.late(o) {
				if u.Orders++; u.Orders <= someLimit {
					u.Some = append(u.Some, fmt.Sprintf("order %s: %s", id, o.waiting(s.books.order.At)))
				}
			}
		}
	}
	moving := slices.SortedFunc(maps.Values(s.traffic.underWay), func(a, b event) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.subject, b.subject), cmp.Compare(a.id, b.id))
	})
	for _, e := range moving[:min(len(moving), someLimit)] {
		u.Some = append(u.Some, fmt.Sprintf("event %s of %s: %s", e.kind, e.subject, s.traffic.whereabouts(e)))
	}
	u.Events = len(moving)
	return u
}

// whereabouts says what an event that is under way waits for.
func (tr traffic) whereabouts(e event) string {
	var waiting []string
	for _, d := range tr.untaken {
		if d.id == e.id {
			waiting = append(waiting, d.queue.String())
		}
	}
	if len(waiting) == 0 {
		return "in the outbox"
	}
	return "not taken yet by " + strings.Join(waiting, ", ")
}

func (s *shop) checked() (c Checked) {
	if s.books.order != nil {
		c.Orders = map[string]int{}
		for _, state := range orderStates {
			c.Orders[state] = 0
		}
		for _, o := range s.orders {
			c.Orders[o.State]++
		}
	}
	if s.processor != nil {
		c.Money = map[string]Till{}
		for _, intents := range s.intents {
			for _, in := range intents {
				currency := strings.ToUpper(in.Currency)
				till := c.Money[currency]
				till.Captured += in.captured()
				till.Refunded += in.refunded()
				till.Kept = till.Captured - till.Refunded
				c.Money[currency] = till
			}
		}
	}
	if s.books.inventory != nil && len(s.only) == 0 {
		c.Stock = &Warehouse{}
		for _, p := range s.books.inventory.Entries.Products.items {
			c.Stock.Products++
			c.Stock.Supplied += p.Supplied
			c.Stock.OnHand += p.OnHand
			c.Stock.Reserved += p.Reserved
		}
		for _, r := range s.reservations {
			for _, i := range r.Items {
				if r.State == committed {
					c.Stock.Shipped += i.Quantity
				}
			}
		}
	}
	if s.carrier != nil {
		c.Parcels = map[string]int{}
		for _, parcels := range s.parcels {
			for _, p := range parcels {
				c.Parcels[p.State]++
			}
		}
	}
	if len(s.traffic.buses) > 0 {
		c.Events = &Deliveries{Published: s.traffic.published, Due: s.traffic.due, Taken: s.traffic.done}
	}
	if s.depths != nil {
		c.Queues = s.queueSums()
	}
	return c
}

func (s *shop) queueSums() *Queues {
	dead, waiting, total := 0, 0, 0
	for _, q := range s.queues {
		waiting += s.depths[rabbitmq.QueueName(q)]
		dead += s.depths[rabbitmq.DeadLetterQueueName(q)]
	}
	for _, n := range s.depths {
		total += n
	}
	return &Queues{Waiting: waiting, Retrying: total - waiting - dead, Dead: dead}
}

// notChecked names what the rules could not see.
func (s *shop) notChecked(cfg Config) []string {
	gaps := []string{}
	for _, party := range append(slices.Clone(Parties), broker) {
		for _, g := range s.missing {
			if g.party == party {
				gaps = append(gaps, fmt.Sprintf("%s (without %s): %v", strings.Join(s.kindsFrom(party), ", "), party, g.err))
			}
		}
	}
	for _, service := range services {
		if bus, read := s.traffic.buses[service]; read && !bus.Audited {
			gaps = append(gaps, fmt.Sprintf("events of %s: auditing is off there, so nobody knows what it published (EVENTS_AUDIT=true)", service))
		}
	}
	for _, service := range services {
		if n := s.traffic.forgotten[service]; n > 0 {
			gaps = append(gaps, fmt.Sprintf("events that %s may have forgotten: %d were published before %s, the age of its oldest marks",
				service, n, s.traffic.buses[service].TakenSince.Format(time.RFC3339)))
		}
	}
	for _, q := range s.queues {
		if n := s.traffic.tooEarly[q.String()]; n > 0 {
			gaps = append(gaps, fmt.Sprintf("events that %s may be too new for: %d were published before its first mark", q, n))
		}
	}
	if n := s.untoldBeforeLog(); n > 0 {
		gaps = append(gaps, fmt.Sprintf("orders older than the log: %d were placed before order's begins, so nobody knows whether they were told", n))
	}
	if len(s.only) > 0 {
		for _, id := range s.only {
			if _, known := s.orders[id]; !known && s.books.order != nil {
				gaps = append(gaps, fmt.Sprintf("order %s: the order service does not know it", id))
			}
		}
		return gaps
	}
	if n := s.olderThanLogs(); n > 0 {
		gaps = append(gaps, fmt.Sprintf("events older than the log: %d were taken before their publisher's begins", n))
	}
	if cfg.Depths == nil {
		gaps = append(gaps, "dead-letters (without broker): which one was not said (--amqp-url)")
	}
	return gaps
}

func (s *shop) kindsFrom(party string) (kinds []string) {
	for _, r := range rules {
		if slices.Contains(r.from, party) && !slices.Contains(kinds, r.kind) && !(r.general && len(s.only) > 0) {
			kinds = append(kinds, r.kind)
		}
	}
	return kinds
}
