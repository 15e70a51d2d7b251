package order

import (
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// bookedOrder is a line of the books that operators see.
type bookedOrder struct {
	OrderID      string    `json:"orderId"`
	State        State     `json:"state"`
	Reason       Reason    `json:"reason,omitempty"`
	Total        Money     `json:"total"`
	PlacedAt     time.Time `json:"placedAt"`
	WaitingSince time.Time `json:"waitingSince"`
	WaitingFor   string    `json:"waitingOn,omitempty"`
	StallsAt     time.Time `json:"stallsAt,omitzero"` // when it will have waited for too long
	Stalled      bool      `json:"stalled"`
}

// readBooks lists every order.
func (s *Service) readBooks(tx *gorm.DB) httpapi.AuditEntries {
	return httpapi.AuditEntries{"orders": httpapi.AuditRows(tx.Omit("items", "ship_to").Order("id"), func(r orderRow) bookedOrder {
		o := r.order()
		wait, _ := o.WaitingOn()
		stallsAt, _ := o.StallsAt(s.timeouts)
		return bookedOrder{
			OrderID: o.ID, State: o.State(), Reason: o.Why(), Total: o.Total, PlacedAt: o.PlacedAt,
			WaitingSince: o.WaitingSince, WaitingFor: wait.Fact, StallsAt: stallsAt, Stalled: o.Stalled,
		}
	})}
}
