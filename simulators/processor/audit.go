package processor

import "time"

// auditSnapshot is the response of /ops/audit.
type auditSnapshot struct {
	PaymentIntents []auditIntent `json:"paymentIntents"`
	Totals         auditTotals   `json:"totals"`
}

type auditIntent struct {
	ID         string        `json:"id"`
	OrderID    string        `json:"orderId"`
	Amount     int64         `json:"amount"`
	Currency   string        `json:"currency"`
	Status     string        `json:"status"`
	CreatedAt  time.Time     `json:"createdAt"`
	CapturedAt *time.Time    `json:"capturedAt"`
	Captures   int           `json:"captures"`
	Refunds    []auditRefund `json:"refunds"`
}

type auditRefund struct {
	ID     string `json:"id"`
	Amount int64  `json:"amount"`
}

// auditTotals are the totals of the listed intents. Amounts are in minor units, by currency in lower case as in
// Stripe's API.
type auditTotals struct {
	Intents  int              `json:"intents"`
	Captures int              `json:"captures"`
	Refunds  int              `json:"refunds"`
	Captured map[string]int64 `json:"captured"`
	Refunded map[string]int64 `json:"refunded"`
}

// audit returns an auditSnapshot of the intents of one order, or of all intents if orderID is "", oldest first.
func (s *Server) audit(orderID string) (any, error) {
	s.mu.Lock()
	listed := make([]*intent, 0, len(s.state.order))
	for _, id := range s.state.order {
		if in := s.state.intents[id]; orderID == "" || in.orderID() == orderID {
			listed = append(listed, in)
		}
	}
	s.mu.Unlock()
	if err := s.journal.Flush(); err != nil {
		return nil, err
	}
	snapshot := auditSnapshot{
		PaymentIntents: make([]auditIntent, 0, len(listed)),
		Totals:         auditTotals{Captured: map[string]int64{}, Refunded: map[string]int64{}},
	}
	for _, in := range listed {
		refunds := make([]auditRefund, 0, len(in.Refunds))
		for _, r := range in.Refunds {
			refunds = append(refunds, auditRefund{ID: r.ID, Amount: r.Amount})
		}
		snapshot.PaymentIntents = append(snapshot.PaymentIntents, auditIntent{
			ID: in.ID, OrderID: in.orderID(), Amount: in.Amount, Currency: in.Currency, Status: in.Status,
			CreatedAt: in.CreatedAt, CapturedAt: in.CapturedAt, Captures: in.Captures, Refunds: refunds,
		})
		snapshot.Totals.Intents++
		snapshot.Totals.Captures += in.Captures
		snapshot.Totals.Refunds += len(refunds)
		snapshot.Totals.Captured[in.Currency] += in.Amount * int64(in.Captures)
		snapshot.Totals.Refunded[in.Currency] += in.refunded()
	}
	return snapshot, nil
}
