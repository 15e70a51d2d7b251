package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
)

// outboxDrains: nothing is parked, and nothing that could leave has been there for long.
func outboxDrains(s *shop) (found []Mismatch) {
	for _, service := range services {
		bus := s.traffic.buses[service]
		for _, row := range bus.Outbox.items {
			e := event{row.ID, row.Type, row.Subject}
			if !s.wants(row.Subject) {
				continue
			}
			m := Mismatch{Order: e.order(), SKU: e.sku(), ref: row.ID}
			switch age := bus.at.Sub(row.since()); {
			case !row.ParkedAt.IsZero():
				m.Rule, m.What = "parked", fmt.Sprintf("a %s is parked in %s's outbox", row.Type, service)
				m.Detail = fmt.Sprintf("refused %d times: %s", row.Refusals, row.LastError)
			case age > s.limit:
				m.Rule, m.What = "overdue", fmt.Sprintf("a %s has not left %s's outbox for longer than %v", row.Type, service, s.limit)
				m.Detail = strings.TrimSuffix(fmt.Sprintf("due for %v: %s", age.Round(time.Second), row.LastError), ": ")
			default:
				continue
			}
			found = append(found, m)
		}
	}
	return found
}

// eventsTaken: every published event was taken by every subscription, once.
func eventsTaken(s *shop) (found []Mismatch) {
	for _, d := range s.traffic.untaken {
		if d.overdue {
			found = append(found, Mismatch{
				Rule: "not-taken", What: fmt.Sprintf("a %s was not taken by %s for longer than %v", d.kind, d.queue, s.limit),
				Order: d.order(), SKU: d.sku(), ref: d.id,
				Detail: fmt.Sprintf("event %s, published %v ago", d.id, d.age.Round(time.Second)),
			})
		}
	}
	for subscription, marks := range s.traffic.marks {
		for id, n := range marks {
			if n == 1 {
				continue
			}
			e := s.published(id)
			if e.id != "" && s.wants(e.subject) || e.id == "" && len(s.only) == 0 {
				found = append(found, Mismatch{
					Rule: "taken-twice", What: subscription + " took an event more than once", Order: e.order(), SKU: e.sku(),
					ref: id, Detail: fmt.Sprintf("event %s, %d times", id, n),
				})
			}
		}
	}
	return found
}

// published looks an event up in the logs; it is zero if none has it.
func (s *shop) published(id string) event {
	for _, bus := range s.traffic.buses {
		for _, p := range bus.Published.items {
			if p.ID == id {
				return event{p.ID, p.Type, p.Subject}
			}
		}
	}
	return event{}
}

// once are the events that can happen to an order only once.
var once = []string{
	"order.created.v1", "order.confirmed.v1", "order.completed.v1", "order.cancelled.v1",
	"inventory.reserved.v1", "inventory.reservation_failed.v1", "inventory.released.v1",
	"payment.processed.v1", "payment.failed.v1", "payment.refunded.v1", "payment.voided.v1",
	"shipment.created.v1", "shipment.dispatched.v1", "shipment.delivered.v1", "shipment.failed.v1", "shipment.cancelled.v1",
}

// toldOnce: what can happen once is told once, and no event is published under the id of another.
func toldOnce(s *shop) (found []Mismatch) {
	for _, service := range services {
		bus := s.traffic.buses[service]
		ids := map[string]int{}
		told, more := map[event]string{}, map[event]int{} // the first one's id, and how many followed; by type and order
		tell := func(id, kind, subject string) {
			if !slices.Contains(once, kind) || !s.wants(subject) {
				return
			}
			fact := event{kind: kind, subject: subject}
			if first, again := told[fact]; !again {
				told[fact] = id
			} else if first != id {
				more[fact]++
			}
		}
		for _, p := range bus.Published.items {
			if ids[p.ID]++; ids[p.ID] == 2 && s.wants(p.Subject) {
				e := event{p.ID, p.Type, p.Subject}
				found = append(found, Mismatch{
					Rule: "published-twice", What: fmt.Sprintf("%s published a %s more than once under one id", service, p.Type),
					Order: e.order(), SKU: e.sku(), ref: p.ID, Detail: "event " + p.ID,
				})
			}
			tell(p.ID, p.Type, p.Subject)
		}
		for _, row := range bus.Outbox.items {
			tell(row.ID, row.Type, row.Subject)
		}
		for fact, n := range more {
			found = append(found, Mismatch{
				Rule: "told-twice", What: fmt.Sprintf("%s told an order's %s more than once", service, fact.kind),
				Order: fact.subject, Detail: fmt.Sprintf("%d events", n+1),
			})
		}
	}
	return found
}

// marksHaveEvents: what was taken has been published.
func marksHaveEvents(s *shop) (found []Mismatch) {
	s.eachGhost(func(q events.Queue, m taken, beforeLog bool) {
		if !beforeLog {
			found = append(found, Mismatch{
				Rule: "ghost", What: fmt.Sprintf("%s took a %s that %s never published", q, q.Type, q.Publisher),
				ref: m.EventID, Detail: "event " + m.EventID,
			})
		}
	})
	return found
}

// eachGhost shows every mark for an event that its publisher does not have. BeforeLog says that the publisher's log
// begins later, so that nothing follows from that.
func (s *shop) eachGhost(show func(q events.Queue, m taken, beforeLog bool)) {
	type log struct {
		ids   map[string]bool
		begin time.Time
	}
	logs := map[string]log{}
	for service, bus := range s.traffic.buses {
		if !bus.Audited {
			continue
		}
		l := log{ids: make(map[string]bool, len(bus.Published.items)), begin: bus.at}
		for _, p := range bus.Published.items {
			l.ids[p.ID] = true
			if p.At.Before(l.begin) {
				l.begin = p.At
			}
		}
		for _, row := range bus.Outbox.items {
			l.ids[row.ID] = true
		}
		logs[service] = l
	}
	subscriptions := map[string]events.Queue{}
	for _, q := range s.queues {
		subscriptions[q.String()] = q
	}
	for _, service := range services {
		for _, m := range s.traffic.buses[service].Taken.items {
			q, known := subscriptions[service+"."+m.Reaction]
			l, audited := logs[q.Publisher]
			// What was taken after the publisher's book was read was perhaps published after that, too.
			if !known || !audited || l.ids[m.EventID] || m.At.After(s.traffic.buses[q.Publisher].at) {
				continue
			}
			show(q, m, m.At.Before(l.begin))
		}
	}
}

// olderThanLogs counts the marks that cannot be judged, because they may be from before auditing was switched on.
func (s *shop) olderThanLogs() (n int) {
	s.eachGhost(func(_ events.Queue, _ taken, beforeLog bool) {
		if beforeLog {
			n++
		}
	})
	return n
}

// deadLetters: no message has been given up. The orders named are those whose event the reaction has not taken.
func deadLetters(s *shop) (found []Mismatch) {
	for _, q := range s.queues {
		name := rabbitmq.DeadLetterQueueName(q)
		if s.depths[name] == 0 {
			continue
		}
		m := Mismatch{Rule: "dead", What: name + " holds dead letters", Detail: plural(s.depths[name], "message")}
		found = append(found, m)
		for _, d := range s.traffic.untaken {
			if d.queue.String() == q.String() {
				found = append(found, Mismatch{
					Rule: m.Rule, What: m.What, Order: d.order(), SKU: d.sku(), ref: d.id, Detail: "has not been taken: event " + d.id,
				})
			}
		}
	}
	return found
}
