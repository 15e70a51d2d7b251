package processor

import "time"

// books is what /ops/books shows.
type books struct {
	PaymentIntents []bookedIntent `json:"paymentIntents"`
	Totals         totals         `json:"totals"`
}

type bookedIntent struct {
	ID         string         `json:"id"`
	OrderID    string         `json:"orderId"`
	Amount     int64          `json:"amount"`
	Currency   string         `json:"currency"`
	Status     string         `json:"status"`
	CreatedAt  time.Time      `json:"createdAt"`
	CapturedAt *time.Time     `json:"capturedAt"`
	Captures   int            `json:"captures"`
	Refunds    []bookedRefund `json:"refunds"`
}

type bookedRefund struct {
	ID     string `json:"id"`
	Amount int64  `json:"amount"`
}

// totals are over the intents shown; money is in minor units by currency, in lower case as Stripe writes it.
type totals struct {
	Intents  int              `json:"intents"`
	Captures int              `json:"captures"`
	Refunds  int              `json:"refunds"`
	Captured map[string]int64 `json:"captured"`
	Refunded map[string]int64 `json:"refunded"`
}

// books lists the intents for one order, or all of them, oldest first.
func (s *Server) books(order string) (any, error) {
	s.mu.Lock()
	shown := make([]*intent, 0, len(s.state.order))
	for _, id := range s.state.order {
		if in := s.state.intents[id]; order == "" || in.orderID() == order {
			shown = append(shown, in)
		}
	}
	s.mu.Unlock()
	if err := s.book.Flush(); err != nil {
		return nil, err
	}
	b := books{
		PaymentIntents: make([]bookedIntent, 0, len(shown)),
		Totals:         totals{Captured: map[string]int64{}, Refunded: map[string]int64{}},
	}
	for _, in := range shown {
		refunds := make([]bookedRefund, 0, len(in.Refunds))
		for _, r := range in.Refunds {
			refunds = append(refunds, bookedRefund{ID: r.ID, Amount: r.Amount})
		}
		b.PaymentIntents = append(b.PaymentIntents, bookedIntent{
			ID: in.ID, OrderID: in.orderID(), Amount: in.Amount, Currency: in.Currency, Status: in.Status,
			CreatedAt: in.CreatedAt, CapturedAt: in.CapturedAt, Captures: in.Captures, Refunds: refunds,
		})
		b.Totals.Intents++
		b.Totals.Captures += in.Captures
		b.Totals.Refunds += len(refunds)
		b.Totals.Captured[in.Currency] += in.Amount * int64(in.Captures)
		b.Totals.Refunded[in.Currency] += in.refunded()
	}
	return b, nil
}
