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
	StatusFindings   = 1 // or something under way, with Config.Settled
	StatusNotChecked = 3 // no findings, but not everything was checked
)

// Report is the outcome of a check. Its lists are never null.
type Report struct {
	At         time.Time `json:"at"`
	Clean      bool      `json:"clean"` // everything was checked, and there are no findings: StatusClean
	Checked    Checked   `json:"checked"`
	Findings   []Finding `json:"findings"`
	UnderWay   UnderWay  `json:"underWay"`
	NotChecked []string  `json:"notChecked"`

	settled  bool     // Config.Settled
	unjudged []string // kinds
}

// Judged reports whether all sources of a kind of findings were read. If not, the findings may be incomplete.
func (r Report) Judged(kind string) bool { return !slices.Contains(r.unjudged, kind) }

// Checked has the sums of the audit snapshots. A sum is nil if its source was not read.
type Checked struct {
	Orders  map[string]int      `json:"orders,omitempty"` // by state
	Money   map[string]MoneySum `json:"money,omitempty"`  // by currency
	Stock   *StockSum           `json:"stock,omitempty"`
	Parcels map[string]int      `json:"parcels,omitempty"` // by state, at the carrier
	Events  *Deliveries         `json:"events,omitempty"`
	Queues  *Queues             `json:"queues,omitempty"`
}

func (c Checked) empty() bool {
	return c.Orders == nil && c.Money == nil && c.Stock == nil && c.Parcels == nil && c.Events == nil && c.Queues == nil
}

// MoneySum is the money in one currency at the card processor, in minor units.
type MoneySum struct {
	Captured int64 `json:"captured"`
	Refunded int64 `json:"refunded"`
	Kept     int64 `json:"kept"`
}

// StockSum is all stock, in units.
type StockSum struct {
	Products int `json:"products"`
	Received int `json:"received"`
	OnHand   int `json:"onHand"`
	Reserved int `json:"reserved"`
	Shipped  int `json:"shipped"`
}

// Deliveries are the known published events, and their deliveries to subscriptions: all, and those consumed.
type Deliveries struct {
	Published int `json:"published"`
	Due       int `json:"due"`
	Consumed  int `json:"consumed"`
}

// Queues are the messages in the broker's queues.
type Queues struct {
	Waiting      int `json:"waiting"`
	Retrying     int `json:"retrying"`
	DeadLettered int `json:"deadLettered"`
}

// Finding is a sentence, and the orders, products, events or queues for which it is true. Details has a line for each.
type Finding struct {
	Kind    string   `json:"kind"`
	Rule    string   `json:"rule"`
	What    string   `json:"what"`
	Orders  []string `json:"orders"`
	SKUs    []string `json:"skus"`
	Details []string `json:"details"`

	mismatches []Mismatch
}

// Keys identify what the finding is true for; they are the same in every check.
func (f Finding) Keys() []string {
	keys := make([]string, len(f.mismatches))
	for i, m := range f.mismatches {
		keys[i] = m.key()
	}
	return keys
}

// Count returns the number of orders, products, events or queues for which the finding is true.
func (f Finding) Count() int { return len(f.mismatches) }

// UnderWay is what is not finished, and not overdue either.
type UnderWay struct {
	Orders      int       `json:"orders"`
	Events      int       `json:"events"`
	Unconfirmed []Finding `json:"unconfirmed"` // not for long enough yet, or an event under way may resolve it
	Some        []string  `json:"some"`        // a few of the orders and events
}

func (u UnderWay) none() bool { return u.Orders == 0 && u.Events == 0 && len(u.Unconfirmed) == 0 }

// Count returns the number of all that is under way.
func (u UnderWay) Count() int {
	n := u.Orders + u.Events
	for _, f := range u.Unconfirmed {
		n += f.Count()
	}
	return n
}

// Status returns the exit status.
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

func summarize(s *reading, found []Mismatch, confirmed func(Mismatch) bool, cfg Config) Report {
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
		r.unjudged = append(r.unjudged, s.kindsFrom(g.source)...)
	}
	r.UnderWay.Unconfirmed = group(unsure)
	r.Clean = r.Status() == StatusClean
	return r
}

// group makes one finding of all mismatches with the same sentence.
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
		if m.Order != "" && !slices.Contains(f.Orders[max(0, len(f.Orders)-1):], m.Order) { // the mismatches are sorted by order
			f.Orders = append(f.Orders, m.Order)
		}
		if m.SKU != "" && !slices.Contains(f.SKUs, m.SKU) {
			f.SKUs = append(f.SKUs, m.SKU)
		}
		f.Details = append(f.Details, m.line())
	}
	return findings
}

// line returns the subject of the mismatch, and its detail.
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

func (s *reading) underWay() (u UnderWay) {
	u.Some = []string{}
	if s.snapshots.order != nil {
		for _, id := range slices.Sorted(maps.Keys(s.orders)) {
			o := s.orders[id]
			if !o.terminal() && !o.Stalled && !s.late(o) {
				if u.Orders++; u.Orders <= someLimit {
					u.Some = append(u.Some, fmt.Sprintf("order %s: %s", id, o.waiting(s.snapshots.order.At)))
				}
			}
		}
	}
	moving := slices.SortedFunc(maps.Values(s.events.underWay), func(a, b event) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.subject, b.subject), cmp.Compare(a.id, b.id))
	})
	for _, e := range moving[:min(len(moving), someLimit)] {
		u.Some = append(u.Some, fmt.Sprintf("event %s of %s: %s", e.kind, e.subject, s.events.whereabouts(e)))
	}
	u.Events = len(moving)
	return u
}

// whereabouts describes where an event under way is.
func (tr eventFlow) whereabouts(e event) string {
	var waiting []string
	for _, d := range tr.unconsumed {
		if d.id == e.id {
			waiting = append(waiting, d.queue.String())
		}
	}
	if len(waiting) == 0 {
		return "in the outbox"
	}
	return "not consumed yet by " + strings.Join(waiting, ", ")
}

func (s *reading) checked() (c Checked) {
	if s.snapshots.order != nil {
		c.Orders = map[string]int{}
		for _, state := range orderStates {
			c.Orders[state] = 0
		}
		for _, o := range s.orders {
			c.Orders[o.State]++
		}
	}
	if s.processor != nil {
		c.Money = map[string]MoneySum{}
		for _, intents := range s.intents {
			for _, in := range intents {
				currency := strings.ToUpper(in.Currency)
				totals := c.Money[currency]
				totals.Captured += in.captured()
				totals.Refunded += in.refunded()
				totals.Kept = totals.Captured - totals.Refunded
				c.Money[currency] = totals
			}
		}
	}
	if s.snapshots.inventory != nil && len(s.only) == 0 {
		c.Stock = &StockSum{}
		for _, p := range s.snapshots.inventory.Entries.Products {
			c.Stock.Products++
			c.Stock.Received += p.Received
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
	if len(s.events.audits) > 0 {
		c.Events = &Deliveries{Published: s.events.published, Due: s.events.due, Consumed: s.events.done}
	}
	if s.depths != nil {
		c.Queues = s.queueSums()
	}
	return c
}

func (s *reading) queueSums() *Queues {
	dead, waiting, total := 0, 0, 0
	for _, q := range s.queues {
		waiting += s.depths[rabbitmq.QueueName(q)]
		dead += s.depths[rabbitmq.DeadLetterQueueName(q)]
	}
	for _, n := range s.depths {
		total += n
	}
	return &Queues{Waiting: waiting, Retrying: total - waiting - dead, DeadLettered: dead}
}

// notChecked lists what the rules could not check, and why.
func (s *reading) notChecked(cfg Config) []string {
	gaps := []string{}
	for _, source := range append(slices.Clone(Sources), broker) {
		for _, g := range s.missing {
			if g.source == source {
				gaps = append(gaps, fmt.Sprintf("%s (without %s): %v", strings.Join(s.kindsFrom(source), ", "), source, g.err))
			}
		}
	}
	for _, service := range services {
		if bus, read := s.events.audits[service]; read && !bus.Audited {
			gaps = append(gaps, fmt.Sprintf("events of %s: auditing is off, so its published events are unknown (set EVENTS_AUDIT=true)", service))
		}
	}
	for _, service := range services {
		if n := s.events.purged[service]; n > 0 {
			gaps = append(gaps, fmt.Sprintf("old events for %s: %d were published before %s, and their inbox records may be purged",
				service, n, s.events.audits[service].ConsumedSince.Format(time.RFC3339)))
		}
	}
	for _, q := range s.queues {
		if n := s.events.beforeSubscription[q.String()]; n > 0 {
			gaps = append(gaps, fmt.Sprintf("events older than %s: %d were published before its first inbox record", q, n))
		}
	}
	if n := s.ordersBeforeLog(); n > 0 {
		gaps = append(gaps, fmt.Sprintf("orders older than the event log: %d were placed before the log of the order service begins, so their events are unknown", n))
	}
	if len(s.only) > 0 {
		for _, id := range s.only {
			if _, known := s.orders[id]; !known && s.snapshots.order != nil {
				gaps = append(gaps, fmt.Sprintf("order %s: unknown to the order service", id))
			}
		}
		return gaps
	}
	if n := s.recordsBeforeLog(); n > 0 {
		gaps = append(gaps, fmt.Sprintf("events older than the event log: %d were consumed before the log of their publisher begins", n))
	}
	if cfg.Depths == nil {
		gaps = append(gaps, "dead-letters (without broker): no broker is configured (--amqp-url)")
	}
	return gaps
}

func (s *reading) kindsFrom(source string) (kinds []string) {
	for _, r := range rules {
		if slices.Contains(r.from, source) && !slices.Contains(kinds, r.kind) && !(r.general && len(s.only) > 0) {
			kinds = append(kinds, r.kind)
		}
	}
	return kinds
}
