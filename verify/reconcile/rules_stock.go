package reconcile

import "fmt"

// stockAddsUp: of every product, what was supplied is on hand or has left with an order, what is reserved is reserved
// for orders, and there is never less than nothing.
func stockAddsUp(s *shop) (found []Mismatch) {
	shelf := map[string]product{}
	for _, p := range s.books.inventory.Entries.Products.items {
		shelf[p.SKU] = p
	}
	held, shipped := map[string]int{}, map[string]int{}
	for id, r := range s.reservations {
		for _, i := range r.Items {
			switch r.State {
			case reserved:
				held[i.SKU] += i.Quantity
			case committed:
				shipped[i.SKU] += i.Quantity
			default:
				continue
			}
			if _, known := shelf[i.SKU]; !known {
				found = append(found, Mismatch{
					Rule: "unknown-product", What: "stock is set aside of a product that does not exist", Order: id, SKU: i.SKU,
				})
			}
		}
	}
	for sku, p := range shelf {
		detail := fmt.Sprintf("supplied %d, on hand %d, reserved %d; orders hold %d and took %d",
			p.Supplied, p.OnHand, p.Reserved, held[sku], shipped[sku])
		wrong := func(rule, what string) {
			found = append(found, Mismatch{Rule: rule, What: what, SKU: sku, Detail: detail})
		}
		if p.OnHand+shipped[sku] != p.Supplied {
			wrong("received", "what is on hand and what has left is not what was supplied")
		}
		if p.Reserved != held[sku] {
			wrong("reserved", "what is reserved is not what orders hold")
		}
		if p.Supplied < 0 || p.OnHand < 0 || p.Reserved < 0 {
			wrong("negative", "there is less than nothing of a product")
		}
		if p.OnHand < p.Reserved {
			wrong("oversold", "more is reserved than there is")
		}
	}
	return found
}

// stockFitsOrder: the stock of a completed order has left, that of a cancelled one is neither set aside nor gone, and
// never will be.
func stockFitsOrder(s *shop) (found []Mismatch) {
	for id, o := range s.orders {
		r := s.reservations[id]
		m := Mismatch{Order: id, Detail: "reservation: " + orNone(r.State), lag: s.mayLag(o)}
		switch {
		case o.State == completed && r.State != committed:
			m.Rule, m.What = "completed-kept", "the stock of a completed order has not left"
		case o.State == cancelled && r.State == reserved:
			m.Rule, m.What = "cancelled-reserved", "the stock of a cancelled order is still set aside"
		case o.State == cancelled && r.State == committed:
			m.Rule, m.What = "cancelled-left", "the stock of a cancelled order has left"
		case o.terminal() && !o.endsAs(r.State, stockEnd):
			m.Rule, m.What = "not-ended", "an order has ended, and inventory has not heard of it"
		default:
			continue
		}
		found = append(found, m)
	}
	for id, r := range s.reservations {
		if _, known := s.orders[id]; !known && (r.State == reserved || r.State == committed) {
			found = append(found, Mismatch{
				Rule: "unknown-order", What: "stock is set aside for an order that does not exist", Order: id, Detail: "reservation: " + r.State,
			})
		}
	}
	return found
}
