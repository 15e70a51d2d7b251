package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/contracts/audit"
	eventsaudit "github.com/quadrille-dev/quadrille/pkg/events/audit"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/services/topology"
)

const limit = 15 * time.Minute

// noon is the time of every snapshot.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func topologies(t testing.TB) []transport.Topology {
	t.Helper()
	all, err := topology.All(nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func queues(t testing.TB) (all []transport.Queue) {
	t.Helper()
	for _, service := range topologies(t) {
		all = append(all, service.Queues...)
	}
	return all
}

// fixture is a set of snapshots that a test changes.
type fixture struct {
	snapshots
	queues []transport.Queue
	next   int
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{queues: queues(t), snapshots: snapshots{
		at:        noon,
		order:     &serviceSnapshot[orderEntries]{Service: Order, At: noon, Events: newEventAudit(), Entries: orderEntries{newList[order]()}},
		inventory: &serviceSnapshot[inventoryEntries]{Service: Inventory, At: noon, Events: newEventAudit(), Entries: inventoryEntries{newList[audit.Product](), newList[audit.Reservation]()}},
		payment:   &serviceSnapshot[paymentEntries]{Service: Payment, At: noon, Events: newEventAudit(), Entries: paymentEntries{newList[audit.Payment]()}},
		shipping:  &serviceSnapshot[shippingEntries]{Service: Shipping, At: noon, Events: newEventAudit(), Entries: shippingEntries{newList[shipment]()}},
		processor: &processorSnapshot{newList[intent]()},
		carrier:   &carrierSnapshot{newList[parcel]()},
		depths:    map[string]int{},
	}}
	return f
}

func newList[T any](items ...T) []T { return append([]T{}, items...) }

func newEventAudit() eventsaudit.Snapshot {
	return eventsaudit.Snapshot{
		Audited: true, ConsumedSince: noon.Add(-30 * 24 * time.Hour),
		Outbox: newList[eventsaudit.Unpublished](), Published: newList[eventsaudit.Published](), Consumed: newList[eventsaudit.Consumed](),
	}
}

// newCleanFixture returns the snapshots of a stack in which three orders have ended differently, and one is under way.
func newCleanFixture(t testing.TB) *fixture {
	t.Helper()
	f := newFixture(t)
	f.order.Entries.Orders = newList(
		order{OrderID: "kept", State: completed, Total: euros(1000), PlacedAt: noon.Add(-time.Hour)},
		order{OrderID: "returned", State: cancelled, Total: euros(500), PlacedAt: noon.Add(-time.Hour)},
		order{OrderID: "short", State: cancelled, Total: euros(900), PlacedAt: noon.Add(-time.Hour)},
		order{OrderID: "young", State: "paid", Total: euros(100), PlacedAt: noon.Add(-time.Minute), Missing: "shipment.created"},
	)
	f.inventory.Entries.Products = newList(
		audit.Product{SKU: "tea", Received: 10, OnHand: 8, Reserved: 1},
		audit.Product{SKU: "gone", Received: 3, OnHand: 3, Deleted: true},
	)
	f.inventory.Entries.Reservations = newList(
		teaReservation("kept", committed, 2),
		teaReservation("returned", "released", 5),
		teaReservation("short", "failed", 100),
		teaReservation("young", reserved, 1),
	)
	f.payment.Entries.Payments = newList(
		audit.Payment{OrderID: "kept", State: "charged", Amount: euros(1000), Captured: 1000, PaymentID: "pi_kept"},
		audit.Payment{OrderID: "returned", State: "refunded", Amount: euros(500), Captured: 500, Refunded: 500, PaymentID: "pi_returned"},
		audit.Payment{OrderID: "short", State: "voided", Amount: euros(900)},
		audit.Payment{OrderID: "young", State: "charged", Amount: euros(100), Captured: 100, PaymentID: "pi_young"},
	)
	f.shipping.Entries.Shipments = newList(
		shipment{"kept", delivered, "shp_kept"},
		shipment{"returned", cancelled, "shp_returned"},
		shipment{"short", cancelled, ""},
		shipment{"young", "booking", ""},
	)
	f.processor.PaymentIntents = newList(
		intent{ID: "pi_kept", OrderID: "kept", Amount: 1000, Currency: "eur", Captures: 1},
		intent{ID: "pi_declined", OrderID: "returned", Amount: 500, Currency: "eur"},
		intent{ID: "pi_returned", OrderID: "returned", Amount: 500, Currency: "eur", Captures: 1, Refunds: []refund{{"re_1", 200}, {"re_2", 300}}},
		intent{ID: "pi_young", OrderID: "young", Amount: 100, Currency: "eur", Captures: 1},
	)
	f.carrier.Shipments = newList(
		parcel{"shp_kept", "kept", delivered}, parcel{"shp_returned", "returned", cancelled}, parcel{"shp_young", "young", booked},
	)
	for _, story := range []string{
		"product.created tea", "product.updated tea", "product.updated tea", "product.deleted gone",
		"order.created kept", "inventory.reserved kept", "payment.charge_requested kept", "payment.processed kept", "order.confirmed kept",
		"shipment.booking_requested kept", "shipment.created kept", "shipment.dispatched kept", "shipment.delivered kept", "order.completed kept",
		"order.created returned", "inventory.reserved returned", "payment.processed returned", "shipment.failed returned",
		"payment.refunded returned", "inventory.released returned", "order.cancelled returned",
		"order.created short", "inventory.reservation_failed short", "order.cancelled short",
		"order.created young", "inventory.reserved young", "payment.processed young",
	} {
		name, subject, _ := strings.Cut(story, " ")
		f.publish(name+".v1", subject, time.Hour)
	}
	f.order.Events.Outbox = append(f.order.Events.Outbox, eventsaudit.Unpublished{
		ID: "scheduled", Type: "order.payment_deadline_passed.v1", Subject: "kept", CreatedAt: noon.Add(-time.Hour), AvailableAt: new(noon.Add(time.Hour)),
	})
	return f
}

func teaReservation(orderID, state string, quantity int) audit.Reservation {
	return audit.Reservation{OrderID: orderID, State: state, Items: []contracts.Item{{SKU: "tea", Quantity: quantity}}}
}

func euros(cents int64) contracts.Money { return contracts.Money{Amount: cents, Currency: "EUR"} }

func (f *fixture) audit(service string) *eventsaudit.Snapshot {
	switch service {
	case Order:
		return &f.order.Events
	case Inventory:
		return &f.inventory.Events
	case Payment:
		return &f.payment.Events
	default:
		return &f.shipping.Events
	}
}

// publisher returns the publisher of an event type.
func publisher(kind string) string {
	aggregate, _, _ := strings.Cut(kind, ".")
	switch aggregate {
	case "product":
		return Inventory
	case "shipment":
		return Shipping
	}
	return aggregate
}

// publish adds an event of this age that every subscription has consumed, except for those named.
func (f *fixture) publish(kind, subject string, age time.Duration, except ...string) (id string) {
	f.next++
	id = fmt.Sprintf("e%d", f.next)
	log := &f.audit(publisher(kind)).Published
	*log = append(*log, eventsaudit.Published{ID: id, Type: kind, Subject: subject, At: noon.Add(-age)})
	for _, q := range f.queues {
		if q.Type == kind && !strings.Contains(strings.Join(except, " "), q.String()) {
			f.consume(q.Service, q.Handler, id, age)
		}
	}
	return id
}

func (f *fixture) consume(service, handler, id string, age time.Duration) {
	records := &f.audit(service).Consumed
	*records = append(*records, eventsaudit.Consumed{Handler: handler, EventID: id, At: noon.Add(-age)})
}

func (f *fixture) reading(only ...string) *reading {
	return newReading(f.snapshots, criteria{queues: f.queues, limit: limit, only: slices.Sorted(slices.Values(only))})
}

// unpublish removes an event from its publisher's log.
func (f *fixture) unpublish(kind, subject string) {
	log := &f.audit(publisher(kind)).Published
	*log = slices.DeleteFunc(*log, func(p eventsaudit.Published) bool { return p.Type == kind && p.Subject == subject })
}

// purge removes all inbox records of a subscription.
func (f *fixture) purge(service, handler string) {
	records := &f.audit(service).Consumed
	*records = slices.DeleteFunc(*records, func(m eventsaudit.Consumed) bool { return m.Handler == handler })
}

// edit changes the entry with an id.
func edit[T any](l []T, id string, getID func(T) string, change func(*T)) {
	for i := range l {
		if getID(l[i]) == id {
			change(&l[i])
		}
	}
}

func (f *fixture) editOrder(id string, change func(*order)) {
	edit(f.order.Entries.Orders, id, func(o order) string { return o.OrderID }, change)
}

func (f *fixture) editReservation(id string, change func(*audit.Reservation)) {
	edit(f.inventory.Entries.Reservations, id, func(r audit.Reservation) string { return r.OrderID }, change)
}

func (f *fixture) editProduct(sku string, change func(*audit.Product)) {
	edit(f.inventory.Entries.Products, sku, func(p audit.Product) string { return p.SKU }, change)
}

func (f *fixture) editPayment(id string, change func(*audit.Payment)) {
	edit(f.payment.Entries.Payments, id, func(p audit.Payment) string { return p.OrderID }, change)
}

func (f *fixture) editShipment(id string, change func(*shipment)) {
	edit(f.shipping.Entries.Shipments, id, func(s shipment) string { return s.OrderID }, change)
}

func (f *fixture) editIntent(id string, change func(*intent)) {
	edit(f.processor.PaymentIntents, id, func(i intent) string { return i.ID }, change)
}

func (f *fixture) editParcel(id string, change func(*parcel)) {
	edit(f.carrier.Shipments, id, func(p parcel) string { return p.ID }, change)
}

func (f *fixture) addIntent(i intent) {
	f.processor.PaymentIntents = append(f.processor.PaymentIntents, i)
}

func (f *fixture) addParcel(p parcel) {
	f.carrier.Shipments = append(f.carrier.Shipments, p)
}
