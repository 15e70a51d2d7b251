package carrier

import (
	"slices"
	"time"
)

// auditSnapshot is the response of /ops/audit.
type auditSnapshot struct {
	Shipments       []auditShipment `json:"shipments"`
	Rejections      []*rejection    `json:"rejections"`
	PendingWebhooks int             `json:"pendingWebhooks"` // webhooks that the receiver has not acknowledged
	Totals          map[string]int  `json:"totals"`          // listed shipments, by state
}

type auditShipment struct {
	ID           string     `json:"id"`
	Reference    string     `json:"reference"`
	State        string     `json:"state"`
	BookedAt     time.Time  `json:"bookedAt"`
	DispatchedAt *time.Time `json:"dispatchedAt"`
	DeliveredAt  *time.Time `json:"deliveredAt"`
	CancelledAt  *time.Time `json:"cancelledAt"`
	Tracking     string     `json:"tracking"`
}

// audit returns an auditSnapshot of the shipment with this reference, or of all shipments if reference is "", oldest
// first.
func (s *Server) audit(reference string) (any, error) {
	snapshot := auditSnapshot{Shipments: []auditShipment{}, Rejections: []*rejection{}, Totals: map[string]int{}}
	s.mu.Lock()
	for _, id := range s.state.order {
		sh := s.state.shipments[id]
		if reference != "" && sh.Reference != reference {
			continue
		}
		snapshot.Totals[sh.State]++
		snapshot.Shipments = append(snapshot.Shipments, auditShipment{
			ID: sh.ID, Reference: sh.Reference, State: sh.State, BookedAt: sh.BookedAt, DispatchedAt: sh.DispatchedAt,
			DeliveredAt: sh.DeliveredAt, CancelledAt: sh.CancelledAt, Tracking: sh.Tracking,
		})
	}
	for _, r := range s.state.rejections {
		if reference == "" || r.Reference == reference {
			snapshot.Rejections = append(snapshot.Rejections, r)
		}
	}
	for _, w := range s.state.webhooks {
		if reference == "" || w.Reference == reference {
			snapshot.PendingWebhooks++
		}
	}
	s.mu.Unlock()
	slices.SortFunc(snapshot.Rejections, func(a, b *rejection) int { return a.At.Compare(b.At) })
	return snapshot, s.journal.Flush()
}
