package reconcile

import (
	"fmt"
	"slices"
	"time"
)

// unfinished: an order ends, or is announced as stalled in time.
func unfinished(s *reading) (found []Mismatch) {
	for id, o := range s.orders {
		m := Mismatch{Order: id, Detail: o.waiting(s.snapshots.order.At)}
		switch {
		case !slices.Contains(orderStates, o.State):
			m.Rule, m.What, m.Detail = "unknown-state", "an order is in an unknown state", fmt.Sprintf("%q", o.State)
		case o.terminal():
			continue
		case o.Stalled:
			m.Rule, m.What = "stalled", "an order is stalled"
		case s.late(o) && o.StallsAt.IsZero():
			m.Rule, m.What = "overdue", fmt.Sprintf("an order has waited for longer than %v", s.limit)
		case s.late(o):
			m.Rule, m.What = "overdue", "an order has waited too long, and was not announced as stalled"
		default:
			continue
		}
		found = append(found, m)
	}
	return found
}

// announceGrace is how long the order service may take to announce a stalled order: its watchdog runs once a minute.
const announceGrace = 2 * time.Minute

// late reports whether the order should have progressed by now. The order service determines the time, because a carrier
// may take days where a service takes minutes. If the snapshot does not have it, the limit applies.
func (s *reading) late(o order) bool {
	now := s.snapshots.order.At
	if o.StallsAt.IsZero() {
		return now.Sub(o.since()) > s.limit
	}
	return now.Sub(o.StallsAt) > announceGrace
}

// waiting describes what the order waits for and since when.
func (o order) waiting(now time.Time) string {
	text := fmt.Sprintf("%s for %v", o.State, now.Sub(o.since()).Round(time.Second))
	if o.Missing != "" {
		text += ", waiting for " + o.Missing
	}
	return text
}
