package reconcile

import (
	"fmt"
	"slices"
	"time"
)

// unfinished: an order ends, or says in time that it does not.
func unfinished(s *shop) (found []Mismatch) {
	for id, o := range s.orders {
		m := Mismatch{Order: id, Detail: o.waiting(s.books.order.At)}
		switch {
		case !slices.Contains(orderStates, o.State):
			m.Rule, m.What, m.Detail = "unknown-state", "an order is in a state that does not exist", fmt.Sprintf("%q", o.State)
		case o.terminal():
			continue
		case o.Stalled:
			m.Rule, m.What = "stalled", "an order is stalled"
		case s.late(o) && o.StallsAt.IsZero():
			m.Rule, m.What = "overdue", fmt.Sprintf("an order waits for longer than %v", s.limit)
		case s.late(o):
			m.Rule, m.What = "overdue", "an order has waited for too long, and was not announced as stalled"
		default:
			continue
		}
		found = append(found, m)
	}
	return found
}

// announceGrace is how long the order service may take to announce a stalled order: it looks once a minute.
const announceGrace = 2 * time.Minute

// late says that the order should have moved by now. How long that may take is the order service's to say, since a
// carrier may have days where a reaction has minutes; a book that does not say so is judged by the limit.
func (s *shop) late(o order) bool {
	now := s.books.order.At
	if o.StallsAt.IsZero() {
		return now.Sub(o.since()) > s.limit
	}
	return now.Sub(o.StallsAt) > announceGrace
}

// waiting says what the order waits for and since when.
func (o order) waiting(now time.Time) string {
	text := fmt.Sprintf("%s for %v", o.State, now.Sub(o.since()).Round(time.Second))
	if o.WaitingFor != "" {
		text += ", waits for " + o.WaitingFor
	}
	return text
}
