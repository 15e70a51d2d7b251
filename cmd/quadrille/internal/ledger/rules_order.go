package ledger

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
		case s.late(o):
			m.Rule, m.What = "overdue", fmt.Sprintf("an order waits for longer than %v", s.limit)
		default:
			continue
		}
		found = append(found, m)
	}
	return found
}

func (s *shop) late(o order) bool { return s.books.order.At.Sub(o.since()) > s.limit }

// waiting says what the order waits for and since when.
func (o order) waiting(now time.Time) string {
	text := fmt.Sprintf("%s for %v", o.State, now.Sub(o.since()).Round(time.Second))
	if o.WaitingFor != "" {
		text += ", waits for " + o.WaitingFor
	}
	return text
}
