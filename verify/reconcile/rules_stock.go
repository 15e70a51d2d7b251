package reconcile

import (
	"fmt"

	"github.com/quadrille-dev/quadrille/contracts/audit"
)

// stockAddsUp: for every product, on hand + shipped = received, reserved is the sum of the reservations and at most on hand,
// and no number is negative.
func stockAddsUp(s *reading) (found []Mismatch) {
	products := map[string]audit.Product{}
	for _, p := range s.snapshots.inventory.Entries.Products {
		products[p.SKU] = p
	}
	inReservations, shipped := map[string]int{}, map[string]int{}
	for id, r := range s.reservations {
		for _, i := range r.Items {
			switch r.State {
			case reserved:
				inReservations[i.SKU] += i.Quantity
			case committed:
				shipped[i.SKU] += i.Quantity
			default:
				continue
			}
			if _, known := products[i.SKU]; !known {
				found = append(found, Mismatch{
					Rule: "unknown-product", What: "stock is reserved of a product that does not exist", Order: id, SKU: i.SKU,
				})
			}
		}
	}
	for sku, p := range products {
		detail := fmt.Sprintf("received %d, on hand %d, reserved %d; reserved for orders %d, shipped %d",
			p.Received, p.OnHand, p.Reserved, inReservations[sku], shipped[sku])
		wrong := func(rule, what string) {
			found = append(found, Mismatch{Rule: rule, What: what, SKU: sku, Detail: detail})
		}
		if p.OnHand+shipped[sku] != p.Received {
			wrong("received", "on hand + shipped differs from received")
		}
		if p.Reserved != inReservations[sku] {
			wrong("reserved", "reserved differs from the sum of the reservations")
		}
		if p.Received < 0 || p.OnHand < 0 || p.Reserved < 0 {
			wrong("negative", "the stock of a product is negative")
		}
		if p.OnHand < p.Reserved {
			wrong("oversold", "reserved exceeds on hand")
		}
	}
	return found
}

// stockFitsOrder: the stock of a completed order has left. The stock of a cancelled order is neither reserved nor gone, and
// inventory has consumed the cancellation.
func stockFitsOrder(s *reading) (found []Mismatch) {
	for id, o := range s.orders {
		r := s.reservations[id]
		m := Mismatch{Order: id, Detail: "reservation: " + valueOrNone(r.State), lag: s.mayLag(o)}
		switch {
		case o.State == completed && r.State != committed:
			m.Rule, m.What = "completed-kept", "the stock of a completed order has not left"
		case o.State == cancelled && r.State == reserved:
			m.Rule, m.What = "cancelled-reserved", "the stock of a cancelled order is still reserved"
		case o.State == cancelled && r.State == committed:
			m.Rule, m.What = "cancelled-left", "the stock of a cancelled order has left"
		case o.terminal() && !o.endsAs(r.State, stockFinal):
			m.Rule, m.What = "not-ended", "an order has ended, but inventory has not consumed that event"
		default:
			continue
		}
		found = append(found, m)
	}
	for id, r := range s.reservations {
		if _, known := s.orders[id]; !known && (r.State == reserved || r.State == committed) {
			found = append(found, Mismatch{
				Rule: "unknown-order", What: "stock is reserved for an order that does not exist", Order: id, Detail: "reservation: " + r.State,
			})
		}
	}
	return found
}
