package reconcile

import (
	"fmt"
	"slices"
	"strings"
)

// finalStates are the states that a service's part of an order may have when the order has ended, and the service has
// consumed that event. Having no part is not among them: every service consumes order.created or order.cancelled.
type finalStates struct{ completed, cancelled []string }

var (
	stockFinal   = finalStates{completed: []string{committed}, cancelled: []string{"released", "failed", "tombstone"}}
	paymentFinal = finalStates{completed: []string{"charged"}, cancelled: []string{"failed", "voided", "refunded"}}
	parcelFinal  = finalStates{completed: []string{delivered}, cancelled: []string{"failed", cancelled}}
)

func (o order) endsAs(state string, e finalStates) bool {
	if o.State == completed {
		return slices.Contains(e.completed, state)
	}
	return slices.Contains(e.cancelled, state)
}

// paymentEnds: the payment of an ended order has the matching final state, and the order's total.
func paymentEnds(s *reading) (found []Mismatch) {
	for id, o := range s.orders {
		if !o.terminal() {
			continue
		}
		p := s.payments[id]
		m := Mismatch{Order: id, lag: s.mayLag(o)}
		switch {
		case !o.endsAs(p.State, paymentFinal):
			m.Rule, m.What = "not-ended", fmt.Sprintf("an order is %s, but its payment does not have the matching final state", o.State)
			m.Detail = "payment: " + valueOrNone(p.State)
		// A payment that was voided before order.created was consumed has no total.
		case p.State != "voided" && (p.Amount.Amount != o.Total.Amount || !strings.EqualFold(p.Amount.Currency, o.Total.Currency)):
			m.Rule, m.What = "amount", "the total of payment differs from that of the order"
			m.Detail = fmt.Sprintf("order: %s, payment: %s", moneyText(o.Total), moneyText(p.Amount))
		default:
			continue
		}
		found = append(found, m)
	}
	return found
}

// shippingEnds: the shipment of an ended order has the matching final state.
func shippingEnds(s *reading) (found []Mismatch) {
	for id, o := range s.orders {
		if sh := s.shipments[id]; o.terminal() && !o.endsAs(sh.State, parcelFinal) {
			found = append(found, Mismatch{
				Rule: "not-ended", What: fmt.Sprintf("an order is %s, but its shipment does not have the matching final state", o.State),
				Order: id, Detail: "shipping: " + valueOrNone(sh.State), lag: s.mayLag(o),
			})
		}
	}
	return found
}
