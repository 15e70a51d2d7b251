package reconcile

import (
	"fmt"
	"strings"

	"github.com/quadrille-dev/quadrille/contracts"
)

// capturedOnce: an order is captured at most once, over all its payment intents, and not refunded beyond that.
func capturedOnce(s *reading) (found []Mismatch) {
	for id, intents := range s.intents {
		captures, overRefunded := 0, false
		for _, in := range intents {
			captures += in.Captures
			overRefunded = overRefunded || in.refunded() > in.captured()
		}
		if captures > 1 {
			found = append(found, Mismatch{
				Rule: "captured-twice", What: "an order was charged more than once", Order: id,
				Detail: fmt.Sprintf("%d captures: %s", captures, describeIntents(intents)),
			})
		}
		if overRefunded {
			found = append(found, Mismatch{
				Rule: "over-refunded", What: "more was refunded than captured", Order: id, Detail: describeIntents(intents),
			})
		}
	}
	return found
}

// moneyFitsOrder: the money kept is the total of a completed order, and zero for a cancelled one. Every capture belongs to an
// order, and has its currency.
func moneyFitsOrder(s *reading) (found []Mismatch) {
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
			m := Mismatch{Rule: "unknown-order", What: "money was captured for an order that does not exist", Order: id, Detail: describeIntents(intents)}
			if id == "" {
				m.What, m.ref = "money was captured without an order", intents[0].ID
			}
			found = append(found, m)
		case foreign:
			found = append(found, Mismatch{
				Rule: "currency", What: "an order was charged in another currency", Order: id,
				Detail: fmt.Sprintf("total %s, %s", moneyText(o.Total), describeIntents(intents)),
			})
		}
	}
	for id, o := range s.orders {
		var captured, refunded int64
		captures := 0
		for _, in := range s.intents[id] {
			captured, refunded, captures = captured+in.captured(), refunded+in.refunded(), captures+in.Captures
		}
		detail := fmt.Sprintf("total %s, %s", moneyText(o.Total), describeIntents(s.intents[id]))
		switch {
		case o.State == completed && captures == 0:
			found = append(found, Mismatch{Rule: "completed-unpaid", What: "a completed order was not paid", Order: id, Detail: detail})
		case o.State == completed && captured-refunded != o.Total.Amount:
			found = append(found, Mismatch{Rule: "completed-kept", What: "the money kept for a completed order is not its total", Order: id, Detail: detail})
		case o.State == cancelled && captured-refunded != 0:
			found = append(found, Mismatch{Rule: "cancelled-kept", What: "the money of a cancelled order was not refunded exactly", Order: id, Detail: detail})
		}
	}
	return found
}

// paymentAgrees: for an ended order, payment and the card processor have the same amounts of the same payment intent.
func paymentAgrees(s *reading) (found []Mismatch) {
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
				Rule: "payment-disagrees", What: "payment and the card processor disagree about an ended order", Order: id,
				Detail: fmt.Sprintf("payment (%s): captured %d, refunded %d (%s); processor: %s",
					valueOrNone(p.State), p.Captured, p.Refunded, valueOrNone(p.PaymentID), describeIntents(s.intents[id])),
				lag: s.mayLag(o),
			})
		}
	}
	return found
}

func moneyText(m contracts.Money) string { return fmt.Sprintf("%d %s", m.Amount, m.Currency) }

// describeIntents describes the payment intents of an order, in minor units.
func describeIntents(intents []intent) string {
	if len(intents) == 0 {
		return "no payment"
	}
	parts := make([]string, len(intents))
	for i, in := range intents {
		parts[i] = fmt.Sprintf("captured %d, refunded %d %s (%s)", in.captured(), in.refunded(), strings.ToUpper(in.Currency), in.ID)
	}
	return strings.Join(parts, "; ")
}

func valueOrNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
