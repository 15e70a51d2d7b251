package reconcile

import (
	"fmt"
	"strings"
)

// capturedOnce: at most one capture for an order over all its intents, and no refund beyond it.
func capturedOnce(s *shop) (found []Mismatch) {
	for id, intents := range s.intents {
		captures, overRefunded := 0, false
		for _, in := range intents {
			captures += in.Captures
			overRefunded = overRefunded || in.refunded() > in.captured()
		}
		if captures > 1 {
			found = append(found, Mismatch{
				Rule: "captured-twice", What: "an order was charged more than once", Order: id,
				Detail: fmt.Sprintf("%d captures: %s", captures, paid(intents)),
			})
		}
		if overRefunded {
			found = append(found, Mismatch{
				Rule: "over-refunded", What: "more was refunded than captured", Order: id, Detail: paid(intents),
			})
		}
	}
	return found
}

// moneyFitsOrder: what is kept of a completed order is its total, of a cancelled one nothing; money has an order, and
// its currency.
func moneyFitsOrder(s *shop) (found []Mismatch) {
	for id, intents := range s.intents {
		o, known := s.orders[id]
		captures := 0
		foreign := false
		for _, in := range intents {
			captures += in.Captures
			foreign = foreign || in.Captures > 0 && !strings.EqualFold(in.Currency, o.Total.Currency)
		}
		switch {
		case captures == 0:
		case !known:
			m := Mismatch{Rule: "unknown-order", What: "money was captured for an order that does not exist", Order: id, Detail: paid(intents)}
			if id == "" {
				m.What, m.ref = "money was captured for no order", intents[0].ID
			}
			found = append(found, m)
		case foreign:
			found = append(found, Mismatch{
				Rule: "currency", What: "an order was charged in another currency", Order: id,
				Detail: fmt.Sprintf("total %s, %s", o.Total, paid(intents)),
			})
		}
	}
	for id, o := range s.orders {
		var captured, refunded int64
		captures := 0
		for _, in := range s.intents[id] {
			captured, refunded, captures = captured+in.captured(), refunded+in.refunded(), captures+in.Captures
		}
		detail := fmt.Sprintf("total %s, %s", o.Total, paid(s.intents[id]))
		switch {
		case o.State == completed && captures == 0:
			found = append(found, Mismatch{Rule: "completed-unpaid", What: "a completed order was never paid", Order: id, Detail: detail})
		case o.State == completed && captured-refunded != o.Total.Amount:
			found = append(found, Mismatch{Rule: "completed-kept", What: "what is kept of a completed order is not its total", Order: id, Detail: detail})
		case o.State == cancelled && captured-refunded != 0:
			found = append(found, Mismatch{Rule: "cancelled-kept", What: "a cancelled order's money was not given back exactly", Order: id, Detail: detail})
		}
	}
	return found
}

// paymentAgrees: once an order has ended, payment believes what the processor knows, and of the same intent.
func paymentAgrees(s *shop) (found []Mismatch) {
	for id, o := range s.orders {
		if !o.terminal() {
			continue
		}
		var captured, refunded int64
		p, another := s.payments[id], false
		for _, in := range s.intents[id] {
			captured, refunded = captured+in.captured(), refunded+in.refunded()
			another = another || in.Captures > 0 && in.ID != p.PaymentID
		}
		if p.Captured != captured || p.Refunded != refunded || another {
			found = append(found, Mismatch{
				Rule: "payment-disagrees", What: "payment and the processor disagree about a finished order", Order: id,
				Detail: fmt.Sprintf("payment (%s): captured %d, refunded %d (%s); processor: %s",
					orNone(p.State), p.Captured, p.Refunded, orNone(p.PaymentID), paid(s.intents[id])),
				lag: s.mayLag(o),
			})
		}
	}
	return found
}

func (m money) String() string { return fmt.Sprintf("%d %s", m.Amount, m.Currency) }

// paid describes what the processor has of an order, in minor units.
func paid(intents []intent) string {
	if len(intents) == 0 {
		return "no payment"
	}
	parts := make([]string, len(intents))
	for i, in := range intents {
		parts[i] = fmt.Sprintf("captured %d, refunded %d %s (%s)", in.captured(), in.refunded(), strings.ToUpper(in.Currency), in.ID)
	}
	return strings.Join(parts, "; ")
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
