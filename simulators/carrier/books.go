package carrier

import (
	"slices"
	"time"
)

// books is what /ops/books shows.
type books struct {
	Shipments []bookedShipment `json:"shipments"`
	Refusals  []*refusal       `json:"refusals"`
	// PendingNotices counts the reports that nobody has taken yet.
	PendingNotices int            `json:"pendingNotices"`
	Totals         map[string]int `json:"totals"` // shipments shown, by state
}

type bookedShipment struct {
	ID           string     `json:"id"`
	Reference    string     `json:"reference"`
	State        string     `json:"state"`
	BookedAt     time.Time  `json:"bookedAt"`
	DispatchedAt *time.Time `json:"dispatchedAt"`
	DeliveredAt  *time.Time `json:"deliveredAt"`
	CancelledAt  *time.Time `json:"cancelledAt"`
	Tracking     string     `json:"tracking"`
}

// books lists the shipment for one reference, or all of them, oldest first.
func (s *Server) books(reference string) (any, error) {
	shown := books{Shipments: []bookedShipment{}, Refusals: []*refusal{}, Totals: map[string]int{}}
	s.mu.Lock()
	for _, id := range s.state.order {
		sh := s.state.shipments[id]
		if reference != "" && sh.Reference != reference {
			continue
		}
		shown.Totals[sh.State]++
		shown.Shipments = append(shown.Shipments, bookedShipment{
			ID: sh.ID, Reference: sh.Reference, State: sh.State, BookedAt: sh.BookedAt, DispatchedAt: sh.DispatchedAt,
			DeliveredAt: sh.DeliveredAt, CancelledAt: sh.CancelledAt, Tracking: sh.Tracking,
		})
	}
	for _, r := range s.state.refusals {
		if reference == "" || r.Reference == reference {
			shown.Refusals = append(shown.Refusals, r)
		}
	}
	for _, n := range s.state.notices {
		if reference == "" || n.Reference == reference {
			shown.PendingNotices++
		}
	}
	s.mu.Unlock()
	slices.SortFunc(shown.Refusals, func(a, b *refusal) int { return a.At.Compare(b.At) })
	return shown, s.book.Flush()
}
