package order

import (
	"time"

	"gorm.io/gorm"
)

// bookedOrder is a line of the books that operators see.
type bookedOrder struct {
	OrderID      string    `json:"orderId"`
	State        State     `json:"state"`
	Reason       Reason    `json:"reason,omitempty"`
	Total        Money     `json:"total"`
	PlacedAt     time.Time `json:"placedAt"`
	WaitingSince time.Time `json:"waitingSince"`
	WaitingFor   string    `json:"waitingFor,omitempty"`
	StallsAt     time.Time `json:"stallsAt,omitzero"` // when it will have waited for too long
	Stalled      bool      `json:"stalled"`
}

// readBooks lists every order.
func (s *Service) readBooks(tx *gorm.DB) (any, error) {
	orders, err := findAll(tx.Omit("items", "ship_to").Order("id"))
	if err != nil {
		return nil, err
	}
	lines := make([]bookedOrder, len(orders))
	for i, o := range orders {
		wait, _ := o.WaitsFor()
		stallsAt, _ := o.StallsAt(s.patience)
		lines[i] = bookedOrder{
			OrderID: o.ID, State: o.State(), Reason: o.Why(), Total: o.Total, PlacedAt: o.PlacedAt,
			WaitingSince: o.WaitingSince, WaitingFor: wait.Fact, StallsAt: stallsAt, Stalled: o.Stalled,
		}
	}
	return map[string]any{"orders": lines}, nil
}
