package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	eventsaudit "github.com/quadrille-dev/quadrille/pkg/events/audit"

	"github.com/dustin/go-humanize/english"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// outboxDrains: no event is parked, and no due event is overdue.
func outboxDrains(s *reading) (found []Mismatch) {
	for _, service := range services {
		bus := s.events.audits[service]
		for _, row := range bus.Outbox {
			e := event{row.ID, row.Type, row.Subject}
			if !s.wants(row.Subject) {
				continue
			}
			m := Mismatch{Order: e.order(), SKU: e.sku(), ref: row.ID}
			switch age := bus.at.Sub(due(row)); {
			case row.ParkedAt != nil:
				m.Rule, m.What = "parked", fmt.Sprintf("a %s is parked in %s's outbox", row.Type, service)
				m.Detail = fmt.Sprintf("rejected %d times: %s", row.Rejections, row.LastError)
			case age > s.limit:
				m.Rule, m.What = "overdue", fmt.Sprintf("a %s has been in %s's outbox for longer than %v", row.Type, service, s.limit)
				m.Detail = strings.TrimSuffix(fmt.Sprintf("due for %v: %s", age.Round(time.Second), row.LastError), ": ")
			default:
				continue
			}
			found = append(found, m)
		}
	}
	return found
}

// consumedOnce: every subscription has consumed every published event once.
func consumedOnce(s *reading) (found []Mismatch) {
	for _, d := range s.events.unconsumed {
		if d.overdue {
			found = append(found, Mismatch{
				Rule: "not-consumed", What: fmt.Sprintf("a %s was not consumed by %s for longer than %v", d.kind, d.queue, s.limit),
				Order: d.order(), SKU: d.sku(), ref: d.id,
				Detail: fmt.Sprintf("event %s, published %v ago", d.id, d.age.Round(time.Second)),
			})
		}
	}
	for subscription, records := range s.events.inbox {
		for id, n := range records {
			if n == 1 {
				continue
			}
			e := s.published(id)
			if e.id != "" && s.wants(e.subject) || e.id == "" && len(s.only) == 0 {
				found = append(found, Mismatch{
					Rule: "consumed-twice", What: subscription + " consumed an event more than once", Order: e.order(), SKU: e.sku(),
					ref: id, Detail: fmt.Sprintf("event %s, %d times", id, n),
				})
			}
		}
	}
	return found
}

// published returns the published event with this id, or a zero event.
func (s *reading) published(id string) event {
	for _, bus := range s.events.audits {
		for _, p := range bus.Published {
			if p.ID == id {
				return event{p.ID, p.Type, p.Subject}
			}
		}
	}
	return event{}
}

// oncePerOrder are the events that can happen to an order only once.
var oncePerOrder = []string{
	"order.created.v1", "order.confirmed.v1", "order.completed.v1", "order.cancelled.v1",
	"inventory.reserved.v1", "inventory.reservation_failed.v1", "inventory.released.v1",
	"payment.processed.v1", "payment.failed.v1", "payment.refunded.v1", "payment.voided.v1",
	"shipment.created.v1", "shipment.dispatched.v1", "shipment.delivered.v1", "shipment.failed.v1", "shipment.cancelled.v1",
}

// publishedOnce: an event that can happen once per order was published once, and no id was published twice.
func publishedOnce(s *reading) (found []Mismatch) {
	for _, service := range services {
		bus := s.events.audits[service]
		ids := map[string]int{}
		first, more := map[event]string{}, map[event]int{} // the first id, and the number of other ids; by type and order
		count := func(id, kind, subject string) {
			if !slices.Contains(oncePerOrder, kind) || !s.wants(subject) {
				return
			}
			fact := event{kind: kind, subject: subject}
			if firstID, again := first[fact]; !again {
				first[fact] = id
			} else if firstID != id {
				more[fact]++
			}
		}
		for _, p := range bus.Published {
			if ids[p.ID]++; ids[p.ID] == 2 && s.wants(p.Subject) {
				e := event{p.ID, p.Type, p.Subject}
				found = append(found, Mismatch{
					Rule: "published-twice", What: fmt.Sprintf("%s published a %s more than once with the same id", service, p.Type),
					Order: e.order(), SKU: e.sku(), ref: p.ID, Detail: "event " + p.ID,
				})
			}
			count(p.ID, p.Type, p.Subject)
		}
		for _, row := range bus.Outbox {
			count(row.ID, row.Type, row.Subject)
		}
		for fact, n := range more {
			found = append(found, Mismatch{
				Rule: "published-again", What: fmt.Sprintf("%s published more than one %s of an order", service, fact.kind),
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

// lifecyclePublished: the creation of every order was published, and the end of every ended order, and no other end. An
// event that was published more than once is a mismatch of publishedOnce.
func lifecyclePublished(s *reading) (found []Mismatch) {
	s.eachUnpublished(func(o order, kind string, beforeLog bool) {
		if !beforeLog {
			found = append(found, Mismatch{
				Rule: "not-published", What: fmt.Sprintf("order has not published the %s of an order", kind), Order: o.OrderID, Detail: o.State,
			})
		}
	})
	published := s.publishedByOrder()
	for id, o := range s.orders {
		for kind, state := range map[string]string{orderCompleted: completed, orderCancelled: cancelled} {
			if published[event{kind: kind, subject: id}] && o.State != state {
				found = append(found, Mismatch{
					Rule: "published-wrongly", What: fmt.Sprintf("order has published the %s of an order that is not %s", kind, state), Order: id, Detail: o.State,
				})
			}
		}
	}
	return found
}

// publishedByOrder returns the type and order of every event that the order service has published, or has in its outbox.
func (s *reading) publishedByOrder() map[event]bool {
	bus := s.events.audits[Order]
	published := make(map[event]bool, len(bus.Published))
	for _, p := range bus.Published {
		published[event{kind: p.Type, subject: p.Subject}] = true
	}
	for _, row := range bus.Outbox {
		published[event{kind: row.Type, subject: row.Subject}] = true
	}
	return published
}

// eachUnpublished calls show for every event of an order that the order service should have published, but has not. If its
// log begins after the order was placed (beforeLog), the event may have been published earlier.
func (s *reading) eachUnpublished(show func(o order, kind string, beforeLog bool)) {
	bus := s.events.audits[Order]
	if !bus.Audited {
		return
	}
	published, begin := s.publishedByOrder(), bus.logBegin()
	for id, o := range s.orders {
		due := []string{orderCreated}
		switch o.State {
		case completed:
			due = append(due, orderCompleted)
		case cancelled:
			due = append(due, orderCancelled)
		}
		for _, kind := range due {
			if !published[event{kind: kind, subject: id}] {
				show(o, kind, o.PlacedAt.Before(begin))
			}
		}
	}
}

// consumedWerePublished: every consumed event was published.
func consumedWerePublished(s *reading) (found []Mismatch) {
	s.eachUnknownEvent(func(q transport.Queue, m eventsaudit.Consumed, beforeLog bool) {
		if !beforeLog {
			found = append(found, Mismatch{
				Rule: "unknown-event", What: fmt.Sprintf("%s consumed a %s that %s has not published", q, q.Type, q.Publisher),
				ref: m.EventID, Detail: "event " + m.EventID,
			})
		}
	})
	return found
}

// eachUnknownEvent calls show for every inbox record of an event that its publisher does not have. If the publisher's log
// begins after the record (beforeLog), the event may have been published earlier.
func (s *reading) eachUnknownEvent(show func(q transport.Queue, m eventsaudit.Consumed, beforeLog bool)) {
	type log struct {
		ids   map[string]bool
		begin time.Time
	}
	logs := map[string]log{}
	for service, bus := range s.events.audits {
		if !bus.Audited {
			continue
		}
		l := log{ids: make(map[string]bool, len(bus.Published)), begin: bus.logBegin()}
		for _, p := range bus.Published {
			l.ids[p.ID] = true
		}
		for _, row := range bus.Outbox {
			l.ids[row.ID] = true
		}
		logs[service] = l
	}
	subscriptions := map[string]transport.Queue{}
	for _, q := range s.queues {
		subscriptions[q.String()] = q
	}
	for _, service := range services {
		for _, m := range s.events.audits[service].Consumed {
			q, known := subscriptions[service+"."+m.Handler]
			l, audited := logs[q.Publisher]
			// An event that was consumed after the publisher's snapshot may have been published after it, too.
			if !known || !audited || l.ids[m.EventID] || m.At.After(s.events.audits[q.Publisher].at) {
				continue
			}
			show(q, m, m.At.Before(l.begin))
		}
	}
}

// recordsBeforeLog counts the inbox records that cannot be checked, because they are older than the publisher's log.
func (s *reading) recordsBeforeLog() (n int) {
	s.eachUnknownEvent(func(_ transport.Queue, _ eventsaudit.Consumed, beforeLog bool) {
		if beforeLog {
			n++
		}
	})
	return n
}

// ordersBeforeLog counts the orders whose events cannot be checked, because they are older than the log.
func (s *reading) ordersBeforeLog() int {
	orders := map[string]bool{}
	s.eachUnpublished(func(o order, _ string, beforeLog bool) {
		if beforeLog {
			orders[o.OrderID] = true
		}
	})
	return len(orders)
}

// deliveryTime is the longest time of a delivery that does not fail. An event that is not consumed by then may be
// dead-lettered.
const deliveryTime = time.Minute

// deadLetters: no dead-letter queue has a message. The broker does not report the orders of its messages, so the detail has
// those that are possible.
func deadLetters(s *reading) (found []Mismatch) {
	for _, q := range s.queues {
		name := rabbitmq.DeadLetterQueueName(q)
		if s.depths[name] == 0 {
			continue
		}
		found = append(found, Mismatch{
			Rule: "dead-lettered", What: name + " has messages", Detail: english.Plural(s.depths[name], "message", "") + s.possibleSubjects(q),
		})
	}
	return found
}

// possibleSubjects lists the orders and products that the messages of a dead-letter queue may be about.
func (s *reading) possibleSubjects(q transport.Queue) string {
	var subjects []string
	for _, d := range s.events.unconsumed {
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
