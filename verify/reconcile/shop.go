package reconcile

import (
	"slices"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// terms are what a reading is judged by.
type terms struct {
	queues []transport.Queue // who subscribes to what
	limit  time.Duration     // what has waited for longer is overdue
	only   []string          // orders, sorted; none: everything
}

func (t terms) wants(order string) bool {
	if len(t.only) == 0 {
		return true
	}
	_, found := slices.BinarySearch(t.only, order)
	return found
}

// shop is one reading, arranged by order, and with --order without the others.
type shop struct {
	books
	terms
	orders       map[string]order
	payments     map[string]payment
	reservations map[string]reservation
	shipments    map[string]shipment
	intents      map[string][]intent
	parcels      map[string][]parcel
	traffic      traffic
}

func arrange(b books, t terms) *shop {
	s := &shop{
		books: b, terms: t,
		orders: map[string]order{}, payments: map[string]payment{}, reservations: map[string]reservation{},
		shipments: map[string]shipment{}, intents: map[string][]intent{}, parcels: map[string][]parcel{},
	}
	if b.order != nil {
		byOrder(s.orders, t, b.order.Entries.Orders, func(o order) string { return o.OrderID })
	}
	if b.inventory != nil {
		byOrder(s.reservations, t, b.inventory.Entries.Reservations, func(r reservation) string { return r.OrderID })
	}
	if b.payment != nil {
		byOrder(s.payments, t, b.payment.Entries.Payments, func(p payment) string { return p.OrderID })
	}
	if b.shipping != nil {
		byOrder(s.shipments, t, b.shipping.Entries.Shipments, func(sh shipment) string { return sh.OrderID })
	}
	if b.processor != nil {
		for _, in := range b.processor.PaymentIntents.items {
			if t.wants(in.OrderID) {
				s.intents[in.OrderID] = append(s.intents[in.OrderID], in)
			}
		}
	}
	if b.carrier != nil {
		for _, p := range b.carrier.Shipments.items {
			if t.wants(p.Reference) {
				s.parcels[p.Reference] = append(s.parcels[p.Reference], p)
			}
		}
	}
	s.traffic = follow(b.buses(), t)
	return s
}

func byOrder[T any](index map[string]T, t terms, entries list[T], id func(T) string) {
	for _, e := range entries.items {
		if t.wants(id(e)) {
			index[id(e)] = e
		}
	}
}

// mayLag says whether the other services may still have to hear how the order ended. Where events under way cannot
// be seen, because auditing is off or a service does not answer, that is so until it would be overdue.
func (s *shop) mayLag(o order) bool {
	return s.traffic.pending[o.OrderID] || s.traffic.blind && s.books.order.At.Sub(o.since()) <= s.limit
}
