package reconcile

import (
	"fmt"
	"slices"
	"strings"
)

// endings are the states in which a service's part in an order may be once the order has ended, and everybody has heard
// of it. None is not among them: order.created and order.cancelled reach everybody in the end.
type endings struct{ completed, cancelled []string }

var (
	stockEnd   = endings{completed: []string{committed}, cancelled: []string{"released", "failed", "tombstone"}}
	paymentEnd = endings{completed: []string{"charged"}, cancelled: []string{"failed", "voided", "refunded"}}
	parcelEnd  = endings{completed: []string{delivered}, cancelled: []string{"failed", cancelled}}
)

func (o order) endsAs(state string, e endings) bool {
	if o.State == completed {
		return slices.Contains(e.completed, state)
	}
	return slices.Contains(e.cancelled, state)
}

// paymentEnds: once an order has ended, so has its payment; and what was to be paid is the order's total.
func paymentEnds(s *shop) (found []Mismatch) {
	for id, o := range s.orders {
		if !o.terminal() {
			continue
		}
		p := s.payments[id]
		m := Mismatch{Order: id, lag: s.mayLag(o)}
		switch {
		case !o.endsAs(p.State, paymentEnd):
			m.Rule, m.What = "not-ended", fmt.Sprintf("an order is %s, and its payment has not come to that end", o.State)
			m.Detail = "payment: " + orNone(p.State)
		// One that was voided may never have heard of a total.
		case p.State != "voided" && (p.Amount.Amount != o.Total.Amount || !strings.EqualFold(p.Amount.Currency, o.Total.Currency)):
			m.Rule, m.What = "amount", "payment has another total than the order"
			m.Detail = fmt.Sprintf("order: %s, payment: %s", o.Total, p.Amount)
		default:
			continue
		}
		found = append(found, m)
	}
	return found
}

// shippingEnds: once an order has ended, so has its shipment.
func shippingEnds(s *shop) (found []Mismatch) {
	for id, o := range s.orders {
		if sh := s.shipments[id]; o.terminal() && !o.endsAs(sh.State, parcelEnd) {
			found = append(found, Mismatch{
				Rule: "not-ended", What: fmt.Sprintf("an order is %s, and its shipment has not come to that end", o.State),
				Order: id, Detail: "shipping: " + orNone(sh.State), lag: s.mayLag(o),
			})
		}
	}
	return found
}
