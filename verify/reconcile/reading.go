package reconcile

import (
	"slices"
	"time"

	"github.com/quadrille-dev/quadrille/contracts/audit"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// criteria are what a reading is checked by.
type criteria struct {
	queues []transport.Queue // the subscriptions of all services
	limit  time.Duration     // what has waited longer is overdue
	only   []string          // sorted orders; empty: everything
}

func (t criteria) wants(order string) bool {
	if len(t.only) == 0 {
		return true
	}
	_, found := slices.BinarySearch(t.only, order)
	return found
}

// reading has the snapshots, sorted by order, and only those of the selected orders.
type reading struct {
	snapshots
	criteria
	orders       map[string]order
	payments     map[string]audit.Payment
	reservations map[string]audit.Reservation
	shipments    map[string]shipment
	intents      map[string][]intent
	parcels      map[string][]parcel
	events       eventFlow
}

func newReading(b snapshots, t criteria) *reading {
	s := &reading{
		snapshots: b, criteria: t,
		orders: map[string]order{}, payments: map[string]audit.Payment{}, reservations: map[string]audit.Reservation{},
		shipments: map[string]shipment{}, intents: map[string][]intent{}, parcels: map[string][]parcel{},
	}
	if b.order != nil {
		byOrder(s.orders, t, b.order.Entries.Orders, func(o order) string { return o.OrderID })
	}
	if b.inventory != nil {
		byOrder(s.reservations, t, b.inventory.Entries.Reservations, func(r audit.Reservation) string { return r.OrderID })
	}
	if b.payment != nil {
		byOrder(s.payments, t, b.payment.Entries.Payments, func(p audit.Payment) string { return p.OrderID })
	}
	if b.shipping != nil {
		byOrder(s.shipments, t, b.shipping.Entries.Shipments, func(sh shipment) string { return sh.OrderID })
	}
	if b.processor != nil {
		for _, in := range b.processor.PaymentIntents {
			if t.wants(in.OrderID) {
				s.intents[in.OrderID] = append(s.intents[in.OrderID], in)
			}
		}
	}
	if b.carrier != nil {
		for _, p := range b.carrier.Shipments {
			if t.wants(p.Reference) {
				s.parcels[p.Reference] = append(s.parcels[p.Reference], p)
			}
		}
	}
	s.events = newEventFlow(b.audits(), t)
	return s
}

func byOrder[T any](index map[string]T, t criteria, entries []T, id func(T) string) {
	for _, e := range entries {
		if t.wants(id(e)) {
			index[id(e)] = e
		}
	}
}

// mayLag reports whether another service may not have consumed the end of the order yet. If not all events are visible,
// because auditing is off or a service is unavailable, that is so until the event would be overdue.
func (s *reading) mayLag(o order) bool {
	return s.events.pending[o.OrderID] || s.events.incomplete && s.snapshots.order.At.Sub(o.since()) <= s.limit
}
