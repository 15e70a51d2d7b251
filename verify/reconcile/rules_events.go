package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
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

// The events with which every order begins, and with one of which it ends.
const (
	orderCreated   = "order.created.v1"
	orderCompleted = "order.completed.v1"
	orderCancelled = "order.cancelled.v1"
)

// beginAndEndTold: every order was announced, and so was the end of one that has ended, and no other end. More than
// once is toldOnce's to find.
func beginAndEndTold(s *shop) (found []Mismatch) {
	s.eachUntold(func(o order, kind string, beforeLog bool) {
		if !beforeLog {
			found = append(found, Mismatch{
				Rule: "untold", What: fmt.Sprintf("order never told an order's %s", kind), Order: o.OrderID, Detail: o.State,
			})
		}
	})
	told := s.toldByOrder()
	for id, o := range s.orders {
		for kind, state := range map[string]string{orderCompleted: completed, orderCancelled: cancelled} {
			if told[event{kind: kind, subject: id}] && o.State != state {
				found = append(found, Mismatch{
					Rule: "told-wrongly", What: fmt.Sprintf("order told an %s of an order that is not %s", kind, state), Order: id, Detail: o.State,
				})
			}
		}
	}
	return found
}

// toldByOrder has the type and order of all that the order service has told, or will.
func (s *shop) toldByOrder() map[event]bool {
	bus := s.traffic.buses[Order]
	told := make(map[event]bool, len(bus.Published.items))
	for _, p := range bus.Published.items {
		told[event{kind: p.Type, subject: p.Subject}] = true
	}
	for _, row := range bus.Outbox.items {
		told[event{kind: row.Type, subject: row.Subject}] = true
	}
	return told
}

// eachUntold shows what the order service has not told of an order although it should have. BeforeLog says that its
// log begins after the order was placed, so that nothing follows from that.
func (s *shop) eachUntold(show func(o order, kind string, beforeLog bool)) {
	bus := s.traffic.buses[Order]
	if !bus.Audited {
		return
	}
	told, begin := s.toldByOrder(), bus.logBegin()
	for id, o := range s.orders {
		due := []string{orderCreated}
		switch o.State {
		case completed:
			due = append(due, orderCompleted)
		case cancelled:
			due = append(due, orderCancelled)
		}
		for _, kind := range due {
			if !told[event{kind: kind, subject: id}] {
				show(o, kind, o.PlacedAt.Before(begin))
			}
		}
	}
}

// marksHaveEvents: what was taken has been published.
func marksHaveEvents(s *shop) (found []Mismatch) {
	s.eachGhost(func(q transport.Queue, m taken, beforeLog bool) {
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
func (s *shop) eachGhost(show func(q transport.Queue, m taken, beforeLog bool)) {
	type log struct {
		ids   map[string]bool
		begin time.Time
	}
	logs := map[string]log{}
	for service, bus := range s.traffic.buses {
		if !bus.Audited {
			continue
		}
		l := log{ids: make(map[string]bool, len(bus.Published.items)), begin: bus.logBegin()}
		for _, p := range bus.Published.items {
			l.ids[p.ID] = true
		}
		for _, row := range bus.Outbox.items {
			l.ids[row.ID] = true
		}
		logs[service] = l
	}
	subscriptions := map[string]transport.Queue{}
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
	s.eachGhost(func(_ transport.Queue, _ taken, beforeLog bool) {
		if beforeLog {
			n++
		}
	})
	return n
}

// untoldBeforeLog counts the orders of which the order service may have told before auditing was switched on.
func (s *shop) untoldBeforeLog() int {
	orders := map[string]bool{}
	s.eachUntold(func(o order, _ string, beforeLog bool) {
		if beforeLog {
			orders[o.OrderID] = true
		}
	})
	return len(orders)
}

// deliveryTime is how long a delivery takes at most unless it fails: what has not been taken by then may be dead.
const deliveryTime = time.Minute

// deadLetters: no message has been given up. Which ones were, the broker does not say; those that may be are named.
func deadLetters(s *shop) (found []Mismatch) {
	for _, q := range s.queues {
		name := rabbitmq.DeadLetterQueueName(q)
		if s.depths[name] == 0 {
			continue
		}
		found = append(found, Mismatch{
			Rule: "dead", What: name + " holds dead letters", Detail: plural(s.depths[name], "message") + s.perhapsOf(q),
		})
	}
	return found
}

// perhapsOf names what the dead letters of a subscription may be about.
func (s *shop) perhapsOf(q transport.Queue) string {
	var subjects []string
	for _, d := range s.traffic.untaken {
		if d.queue.String() == q.String() && d.age > deliveryTime {
			subjects = append(subjects, d.subject)
		}
	}
	slices.Sort(subjects)
	subjects = slices.Compact(subjects)
	if len(subjects) == 0 {
		return ""
	}
	text := ", perhaps of " + strings.Join(subjects[:min(len(subjects), namedLimit)], ", ")
	if more := len(subjects) - namedLimit; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
