package reconcile

import (
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// event is one that is in an outbox, or was published.
type event struct{ id, kind, subject string }

// order is the order that the event is about; "" if it is about a product.
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

// delivery is an event that a subscription has not taken.
type delivery struct {
	event
	queue   transport.Queue
	age     time.Duration // since it was published
	overdue bool
}

// traffic is where the events are.
type traffic struct {
	buses    map[string]serviceBus
	marks    map[string]map[string]int // by subscription and event
	firstOf  map[string]time.Time      // the oldest mark of a subscription, and the oldest thing that a service did
	underWay map[string]event          // neither taken everywhere nor overdue anywhere, by id
	pending  map[string]bool           // orders with an event under way
	blind    bool                      // there may be more under way than is seen

	untaken   []delivery
	forgotten map[string]int // deliveries too old for a service's marks, by service
	tooEarly  map[string]int // deliveries from before a subscription took anything, by subscription
	published int
	due, done int // deliveries: all that subscribers are owed, and those taken
}

// follow finds out what has become of every event.
func follow(buses map[string]serviceBus, t terms) traffic {
	tr := traffic{
		buses: buses, marks: map[string]map[string]int{}, underWay: map[string]event{}, pending: map[string]bool{},
		forgotten: map[string]int{}, tooEarly: map[string]int{}, firstOf: map[string]time.Time{},
	}
	for _, service := range services {
		bus, read := buses[service]
		tr.blind = tr.blind || !read || !bus.Audited
		for _, m := range bus.Taken.items {
			subscription := service + "." + m.Reaction
			if tr.marks[subscription] == nil {
				tr.marks[subscription] = map[string]int{}
			}
			tr.marks[subscription][m.EventID]++
			tr.note(subscription, m.At)
			tr.note(service, m.At)
		}
		for _, p := range bus.Published.items {
			tr.note(service, p.At)
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
		for _, row := range bus.Outbox.items {
			e := event{row.ID, row.Type, row.Subject}
			if t.wants(e.subject) && row.moving(bus.at, t.limit) {
				tr.isUnderWay(e)
			}
		}
		for _, p := range bus.Published.items {
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

func (tr *traffic) deliver(e event, q transport.Queue, at, now time.Time, limit time.Duration) {
	switch {
	case tr.marks[q.String()][e.id] > 0:
		tr.due++
		tr.done++
	case at.Before(tr.buses[q.Service].TakenSince):
		tr.forgotten[q.Service]++
	case now.Sub(at) > limit && tr.beforeSubscribing(q, at):
		tr.tooEarly[q.String()]++
	default:
		tr.due++
		d := delivery{e, q, now.Sub(at), now.Sub(at) > limit}
		tr.untaken = append(tr.untaken, d)
		if !d.overdue {
			tr.isUnderWay(e)
		}
	}
}

func (tr *traffic) note(who string, did time.Time) {
	if first, before := tr.firstOf[who]; !before || did.Before(first) {
		tr.firstOf[who] = did
	}
}

// beforeSubscribing says whether an event may be older than the subscription. A subscription that has never taken
// anything is taken for as old as its service, and for dead rather than new; so is a service that has never done
// anything.
func (tr *traffic) beforeSubscribing(q transport.Queue, at time.Time) bool {
	first, took := tr.firstOf[q.String()]
	if !took {
		first = tr.firstOf[q.Service]
	}
	return at.Before(first)
}

func (tr *traffic) isUnderWay(e event) {
	tr.underWay[e.id] = e
	if o := e.order(); o != "" {
		tr.pending[o] = true
	}
}

// since is when the event could leave.
func (u unpublished) since() time.Time {
	if u.AvailableAt.After(u.CreatedAt) {
		return u.AvailableAt
	}
	return u.CreatedAt
}

// moving says whether the event should be on its way, and has no reason to worry.
func (u unpublished) moving(now time.Time, limit time.Duration) bool {
	return u.ParkedAt.IsZero() && !u.since().After(now) && now.Sub(u.since()) <= limit
}
