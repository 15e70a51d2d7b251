package reconcile

import (
	"strings"
	"time"

	eventsaudit "github.com/quadrille-dev/quadrille/pkg/events/audit"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// event is an event in an outbox, or a published one.
type event struct{ id, kind, subject string }

// order returns the event's order, or "" for an event about a product.
func (e event) order() string {
	if strings.HasPrefix(e.kind, "product.") {
		return ""
	}
	return e.subject
}

func (e event) sku() string {
	if strings.HasPrefix(e.kind, "product.") {
		return e.subject
	}
	return ""
}

// pendingDelivery is an event that a subscription has not consumed.
type pendingDelivery struct {
	event
	queue   transport.Queue
	age     time.Duration // since it was published
	overdue bool
}

// eventFlow has the whereabouts of all events.
type eventFlow struct {
	audits        map[string]serviceAudit
	inbox         map[string]map[string]int // records, by subscription and event id
	firstActivity map[string]time.Time      // the oldest activity of a subscription or a service
	underWay      map[string]event          // not consumed everywhere, and not overdue anywhere; by id
	pending       map[string]bool           // orders with an event under way
	incomplete    bool                      // not all events under way are visible

	unconsumed         []pendingDelivery
	purged             map[string]int // deliveries older than the inbox records, by service
	beforeSubscription map[string]int // deliveries older than the first record, by subscription
	published          int
	due, done          int // deliveries: all, and those consumed
}

// newEventFlow determines the whereabouts of every event.
func newEventFlow(buses map[string]serviceAudit, t criteria) eventFlow {
	tr := eventFlow{
		audits: buses, inbox: map[string]map[string]int{}, underWay: map[string]event{}, pending: map[string]bool{},
		purged: map[string]int{}, beforeSubscription: map[string]int{}, firstActivity: map[string]time.Time{},
	}
	for _, service := range services {
		bus, read := buses[service]
		tr.incomplete = tr.incomplete || !read || !bus.Audited
		for _, m := range bus.Consumed {
			subscription := service + "." + m.Handler
			if tr.inbox[subscription] == nil {
				tr.inbox[subscription] = map[string]int{}
			}
			tr.inbox[subscription][m.EventID]++
			tr.recordActivity(subscription, m.At)
			tr.recordActivity(service, m.At)
		}
		for _, p := range bus.Published {
			tr.recordActivity(service, p.At)
		}
	}
	readers := map[string][]transport.Queue{}
	for _, q := range t.queues {
		if _, read := buses[q.Service]; read {
			readers[q.Type] = append(readers[q.Type], q)
		}
	}
	for _, service := range services {
		bus := buses[service]
		for _, row := range bus.Outbox {
			e := event{row.ID, row.Type, row.Subject}
			if t.wants(e.subject) && moving(row, bus.at, t.limit) {
				tr.addUnderWay(e)
			}
		}
		for _, p := range bus.Published {
			e := event{p.ID, p.Type, p.Subject}
			if !t.wants(e.subject) {
				continue
			}
			tr.published++
			for _, q := range readers[p.Type] {
				tr.deliver(e, q, p.At, bus.at, t.limit)
			}
		}
	}
	return tr
}

func (tr *eventFlow) deliver(e event, q transport.Queue, at, now time.Time, limit time.Duration) {
	switch {
	case tr.inbox[q.String()][e.id] > 0:
		tr.due++
		tr.done++
	case at.Before(tr.audits[q.Service].ConsumedSince):
		tr.purged[q.Service]++
	case now.Sub(at) > limit && tr.mayPrecede(q, at):
		tr.beforeSubscription[q.String()]++
	default:
		tr.due++
		d := pendingDelivery{e, q, now.Sub(at), now.Sub(at) > limit}
		tr.unconsumed = append(tr.unconsumed, d)
		if !d.overdue {
			tr.addUnderWay(e)
		}
	}
}

func (tr *eventFlow) recordActivity(who string, at time.Time) {
	if first, before := tr.firstActivity[who]; !before || at.Before(first) {
		tr.firstActivity[who] = at
	}
}

// mayPrecede reports whether an event may be older than the subscription. A subscription without any record counts as old
// as its service. A service without any activity counts as older than every event, so that a consumer that does not work
// at all is found.
func (tr *eventFlow) mayPrecede(q transport.Queue, at time.Time) bool {
	first, found := tr.firstActivity[q.String()]
	if !found {
		first = tr.firstActivity[q.Service]
	}
	return at.Before(first)
}

func (tr *eventFlow) addUnderWay(e event) {
	tr.underWay[e.id] = e
	if o := e.order(); o != "" {
		tr.pending[o] = true
	}
}

// due returns when the event became due.
func due(u eventsaudit.Unpublished) time.Time {
	if u.AvailableAt != nil && u.AvailableAt.After(u.CreatedAt) {
		return *u.AvailableAt
	}
	return u.CreatedAt
}

// moving reports whether the event is due, and neither parked nor overdue.
func moving(u eventsaudit.Unpublished, now time.Time, limit time.Duration) bool {
	return u.ParkedAt == nil && !due(u).After(now) && now.Sub(due(u)) <= limit
}
