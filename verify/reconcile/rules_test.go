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

	"github.com/google/go-cmp/cmp"
)

// findings are the mismatches as "kind/rule order sku", with a ? for those that an event under way may remove.
func findings(found []Mismatch) []string {
	all := []string{}
	for _, m := range found {
		line := strings.TrimSpace(m.Kind + "/" + m.Rule + " " + strings.TrimSpace(m.Order+" "+m.SKU))
		if m.lag {
			line += "?"
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return all
}

func TestRules_Clean(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*fixture{"empty": newFixture(t), "clean": newCleanFixture(t)} {
		if diff := cmp.Diff([]string{}, findings(judge(f.reading()))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestRules_Mismatches(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(f *fixture)
		want   []string
	}{
		// money
		"a completed order charged twice": {
			func(f *fixture) {
				f.addIntent(intent{ID: "pi_2", OrderID: "kept", Amount: 1000, Currency: "eur", Captures: 1})
			},
			[]string{"money/captured-twice kept", "money/completed-kept kept", "money/payment-disagrees kept"},
		},
		"one intent captured twice, and one capture given back": {
			func(f *fixture) {
				f.editIntent("pi_kept", func(i *intent) { i.Captures, i.Refunds = 2, []refund{{"re", 1000}} })
			},
			[]string{"money/captured-twice kept", "money/payment-disagrees kept"},
		},
		"an order under way charged twice": {
			func(f *fixture) {
				f.addIntent(intent{ID: "pi_2", OrderID: "young", Amount: 100, Currency: "eur", Captures: 1})
			},
			[]string{"money/captured-twice young"},
		},
		"refunded twice": {
			func(f *fixture) {
				f.editIntent("pi_returned", func(i *intent) { i.Refunds = append(i.Refunds, refund{"re_3", 500}) })
			},
			[]string{"money/over-refunded returned", "money/cancelled-kept returned", "money/payment-disagrees returned"},
		},
		"refunded without a capture": {
			func(f *fixture) {
				f.editIntent("pi_declined", func(i *intent) { i.Refunds = []refund{{"re_3", 1}} })
			},
			[]string{"money/over-refunded returned", "money/cancelled-kept returned", "money/payment-disagrees returned"},
		},
		"completed, not paid": {
			func(f *fixture) { f.editIntent("pi_kept", func(i *intent) { i.Captures = 0 }) },
			[]string{"money/completed-unpaid kept", "money/payment-disagrees kept"},
		},
		"completed, the wrong amount": {
			func(f *fixture) { f.editIntent("pi_kept", func(i *intent) { i.Amount = 999 }) },
			[]string{"money/completed-kept kept", "money/payment-disagrees kept"},
		},
		"completed, refunded in part": {
			func(f *fixture) { f.editIntent("pi_kept", func(i *intent) { i.Refunds = []refund{{"re", 1}} }) },
			[]string{"money/completed-kept kept", "money/payment-disagrees kept"},
		},
		"another currency": {
			func(f *fixture) { f.editIntent("pi_kept", func(i *intent) { i.Currency = "usd" }) },
			[]string{"money/currency kept"},
		},
		"cancelled, not refunded": {
			func(f *fixture) { f.editIntent("pi_returned", func(i *intent) { i.Refunds = nil }) },
			[]string{"money/cancelled-kept returned", "money/payment-disagrees returned"},
		},
		"cancelled, refunded in part": {
			func(f *fixture) { f.editIntent("pi_returned", func(i *intent) { i.Refunds = i.Refunds[:1] }) },
			[]string{"money/cancelled-kept returned", "money/payment-disagrees returned"},
		},
		"money for an order that does not exist": {
			func(f *fixture) {
				f.addIntent(intent{ID: "pi_x", OrderID: "stranger", Amount: 1, Currency: "eur", Captures: 1})
			},
			[]string{"money/unknown-order stranger"},
		},
		"money for no order": {
			func(f *fixture) { f.addIntent(intent{ID: "pi_x", Amount: 1, Currency: "eur", Captures: 1}) },
			[]string{"money/unknown-order"},
		},
		"payment has a refund": {
			func(f *fixture) { f.editPayment("kept", func(p *audit.Payment) { p.Refunded = 1000 }) },
			[]string{"money/payment-disagrees kept"},
		},
		"payment does not have the charge": {
			func(f *fixture) { f.editPayment("kept", func(p *audit.Payment) { p.OrderID = "other" }) },
			[]string{"money/not-ended kept", "money/payment-disagrees kept"},
		},
		"payment has another intent": {
			func(f *fixture) { f.editPayment("kept", func(p *audit.Payment) { p.PaymentID = "pi_other" }) },
			[]string{"money/payment-disagrees kept"},
		},
		"payment has the declined intent": {
			func(f *fixture) { f.editPayment("returned", func(p *audit.Payment) { p.PaymentID = "pi_declined" }) },
			[]string{"money/payment-disagrees returned"},
		},
		"payment has another amount": {
			func(f *fixture) { f.editPayment("kept", func(p *audit.Payment) { p.Amount.Amount = 999 }) },
			[]string{"money/amount kept"},
		},
		"payment has another currency": {
			func(f *fixture) { f.editPayment("returned", func(p *audit.Payment) { p.Amount.Currency = "USD" }) },
			[]string{"money/amount returned"},
		},
		"completed, the payment is charging": {
			func(f *fixture) { f.editPayment("kept", func(p *audit.Payment) { p.State = "charging" }) },
			[]string{"money/not-ended kept"},
		},
		"completed, the payment refunded": {
			func(f *fixture) { f.editPayment("kept", func(p *audit.Payment) { p.State = "refunded" }) },
			[]string{"money/not-ended kept"},
		},
		"cancelled, the payment waiting": {
			func(f *fixture) { f.editPayment("short", func(p *audit.Payment) { p.State = "waiting" }) },
			[]string{"money/not-ended short"},
		},
		"cancelled, the refund under way for ever": {
			func(f *fixture) { f.editPayment("returned", func(p *audit.Payment) { p.State = "refunding" }) },
			[]string{"money/not-ended returned"},
		},
		"cancelled, no payment": {
			func(f *fixture) { f.editPayment("short", func(p *audit.Payment) { p.OrderID = "other" }) },
			[]string{"money/not-ended short"},
		},
		"cancelled before payment consumed it": {
			func(f *fixture) { f.editPayment("short", func(p *audit.Payment) { p.Amount = contracts.Money{} }) },
			nil,
		},
		"cancelled, declined": {
			func(f *fixture) { f.editPayment("short", func(p *audit.Payment) { p.State = "failed" }) },
			nil,
		},

		// parcel
		"two parcels": {
			func(f *fixture) { f.addParcel(parcel{"shp_2", "kept", delivered}) },
			[]string{"parcel/two-parcels kept", "parcel/completed-undelivered kept"},
		},
		"a parcel that was cancelled and another": {
			func(f *fixture) { f.addParcel(parcel{"shp_0", "kept", cancelled}) },
			nil,
		},
		"two parcels of an order under way": {
			func(f *fixture) { f.addParcel(parcel{"shp_2", "young", dispatched}) },
			[]string{"parcel/two-parcels young"},
		},
		"cancelled, dispatched": {
			func(f *fixture) { f.editParcel("shp_returned", func(p *parcel) { p.State = dispatched }) },
			[]string{"parcel/cancelled-sent returned", "parcel/shipping-disagrees returned"},
		},
		"cancelled, delivered": {
			func(f *fixture) { f.addParcel(parcel{"shp_x", "short", delivered}) },
			[]string{"parcel/cancelled-sent short", "parcel/shipping-disagrees short"},
		},
		"cancelled, booked": {
			func(f *fixture) { f.addParcel(parcel{"shp_x", "short", booked}) },
			[]string{"parcel/cancelled-sent short", "parcel/shipping-disagrees short"},
		},
		"completed, not delivered": {
			func(f *fixture) { f.editParcel("shp_kept", func(p *parcel) { p.State = dispatched }) },
			[]string{"parcel/completed-undelivered kept", "parcel/shipping-disagrees kept"},
		},
		"completed, no parcel": {
			func(f *fixture) { f.editParcel("shp_kept", func(p *parcel) { p.State = cancelled }) },
			[]string{"parcel/completed-undelivered kept", "parcel/shipping-disagrees kept"},
		},
		"a parcel for an order that does not exist": {
			func(f *fixture) { f.addParcel(parcel{"shp_x", "stranger", cancelled}) },
			[]string{"parcel/unknown-order stranger"},
		},
		"shipping has another parcel": {
			func(f *fixture) { f.editShipment("kept", func(s *shipment) { s.ShipmentID = "shp_other" }) },
			[]string{"parcel/shipping-disagrees kept"},
		},
		"shipping has a parcel": {
			func(f *fixture) { f.editShipment("returned", func(s *shipment) { s.State = dispatched }) },
			[]string{"parcel/not-ended returned", "parcel/shipping-disagrees returned"},
		},
		"completed, dispatched": {
			func(f *fixture) {
				f.editShipment("kept", func(s *shipment) { s.State = dispatched })
				f.editParcel("shp_kept", func(p *parcel) { p.State = dispatched })
			},
			[]string{"parcel/completed-undelivered kept", "parcel/not-ended kept"},
		},
		"cancelled, shipping waiting": {
			func(f *fixture) { f.editShipment("short", func(s *shipment) { s.State = "waiting" }) },
			[]string{"parcel/not-ended short"},
		},
		"cancelled, no shipment": {
			func(f *fixture) { f.editShipment("short", func(s *shipment) { s.OrderID = "other" }) },
			[]string{"parcel/not-ended short"},
		},
		"cancelled, undeliverable": {
			func(f *fixture) { f.editShipment("returned", func(s *shipment) { s.State = "failed" }) },
			nil,
		},

		// stock
		"stock missing": {
			func(f *fixture) { f.editProduct("gone", func(p *audit.Product) { p.OnHand = 2 }) },
			[]string{"stock/received gone"},
		},
		"stock that left twice": {
			func(f *fixture) { f.editProduct("tea", func(p *audit.Product) { p.OnHand = 6 }) },
			[]string{"stock/received tea"},
		},
		"stock reserved without an order": {
			func(f *fixture) { f.editProduct("tea", func(p *audit.Product) { p.Reserved = 6 }) },
			[]string{"stock/reserved tea"},
		},
		"negative stock": {
			func(f *fixture) { f.editProduct("gone", func(p *audit.Product) { p.Received, p.OnHand = -1, -1 }) },
			[]string{"stock/negative gone", "stock/oversold gone"},
		},
		"reserved twice": {
			func(f *fixture) {
				f.editProduct("tea", func(p *audit.Product) { p.Reserved = 9 })
				f.editReservation("young", func(r *audit.Reservation) { r.Items[0].Quantity = 9 })
			},
			[]string{"stock/oversold tea"},
		},
		"a product that does not exist": {
			func(f *fixture) {
				f.editReservation("young", func(r *audit.Reservation) { r.Items = append(r.Items, contracts.Item{SKU: "ether", Quantity: 1}) })
			},
			[]string{"stock/unknown-product young ether"},
		},
		"completed, the stock still reserved": {
			func(f *fixture) {
				f.editReservation("kept", func(r *audit.Reservation) { r.State = reserved })
				f.editProduct("tea", func(p *audit.Product) { p.OnHand, p.Reserved = 10, 3 })
			},
			[]string{"stock/completed-kept kept"},
		},
		"cancelled, the stock still reserved": {
			func(f *fixture) {
				f.editReservation("returned", func(r *audit.Reservation) { r.State = reserved })
				f.editProduct("tea", func(p *audit.Product) { p.Reserved = 6 })
			},
			[]string{"stock/cancelled-reserved returned"},
		},
		"cancelled, the stock gone": {
			func(f *fixture) {
				f.editReservation("returned", func(r *audit.Reservation) { r.State = committed })
				f.editProduct("tea", func(p *audit.Product) { p.OnHand = 3 })
			},
			[]string{"stock/cancelled-left returned"},
		},
		"cancelled, no reservation": {
			func(f *fixture) { f.editReservation("short", func(r *audit.Reservation) { r.OrderID = "other" }) },
			[]string{"stock/not-ended short"},
		},
		"cancelled, reservation without state": {
			func(f *fixture) { f.editReservation("short", func(r *audit.Reservation) { r.State = "none" }) },
			[]string{"stock/not-ended short"},
		},
		"cancelled before inventory consumed it": {
			func(f *fixture) { f.editReservation("short", func(r *audit.Reservation) { r.State = "tombstone" }) },
			nil,
		},
		"stock for an order that does not exist": {
			func(f *fixture) {
				f.inventory.Entries.Reservations = append(f.inventory.Entries.Reservations, teaReservation("stranger", reserved, 1))
				f.editProduct("tea", func(p *audit.Product) { p.Reserved = 2 })
			},
			[]string{"stock/unknown-order stranger"},
		},

		// unfinished
		"stalled": {
			func(f *fixture) { f.editOrder("young", func(o *order) { o.Stalled = true }) },
			[]string{"unfinished/stalled young"},
		},
		"waiting for too long": {
			func(f *fixture) { f.editOrder("young", func(o *order) { o.PlacedAt = noon.Add(-limit - time.Second) }) },
			[]string{"unfinished/overdue young"},
		},
		"placed long ago, moved just now": {
			func(f *fixture) {
				f.editOrder("young", func(o *order) { o.PlacedAt, o.WaitingSince = noon.Add(-time.Hour), noon.Add(-time.Second) })
			},
			nil,
		},
		"waiting on a slow carrier": {
			func(f *fixture) {
				f.editOrder("young", func(o *order) { o.PlacedAt, o.StallsAt = noon.Add(-70*time.Hour), noon.Add(2*time.Hour) })
			},
			nil,
		},
		"to be announced as stalled just now": {
			func(f *fixture) { f.editOrder("young", func(o *order) { o.StallsAt = noon.Add(-announceGrace) }) },
			nil,
		},
		"not announced as stalled": {
			func(f *fixture) {
				f.editOrder("young", func(o *order) { o.StallsAt = noon.Add(-announceGrace - time.Second) })
			},
			[]string{"unfinished/overdue young"},
		},
		"an unknown state": {
			func(f *fixture) { f.editOrder("young", func(o *order) { o.State = "lost" }) },
			[]string{"unfinished/unknown-state young"},
		},

		// outbox
		"parked": {
			func(f *fixture) {
				f.payment.Events.Outbox = newList(eventsaudit.Unpublished{ID: "p", Type: "payment.voided.v1", Subject: "short", CreatedAt: noon, ParkedAt: &noon, Rejections: 5, LastError: "no"})
			},
			[]string{"outbox/parked short"},
		},
		"never left": {
			func(f *fixture) {
				f.inventory.Events.Outbox = newList(eventsaudit.Unpublished{ID: "p", Type: "product.created.v1", Subject: "tea", CreatedAt: noon.Add(-limit - time.Second)})
			},
			[]string{"outbox/overdue tea"},
		},
		"scheduled, and never left": {
			func(f *fixture) {
				f.order.Events.Outbox[0].AvailableAt = new(noon.Add(-limit - time.Second))
			},
			[]string{"outbox/overdue kept"},
		},
		"scheduled long ago, due just now": {
			func(f *fixture) { f.order.Events.Outbox[0].AvailableAt = new(noon.Add(-time.Second)) },
			nil,
		},

		// events
		"not consumed": {
			func(f *fixture) {
				f.publish("order.created.v1", "lonely", limit+time.Second, "payment.order-created", "shipping.order-created")
			},
			[]string{"events/not-consumed lonely", "events/not-consumed lonely"},
		},
		"not consumed yet": {
			func(f *fixture) { f.publish("order.created.v1", "lonely", limit, "payment.order-created") },
			nil,
		},
		"published before the first inbox record": {
			func(f *fixture) { f.publish("order.created.v1", "lonely", 2*time.Hour, "payment.order-created") },
			nil,
		},
		"a subscription without records": {
			func(f *fixture) {
				f.purge(Inventory, "order-created")
				f.editReservation("short", func(r *audit.Reservation) { r.State = reserved })
			},
			[]string{
				"events/not-consumed kept", "events/not-consumed returned", "events/not-consumed short", "events/not-consumed young",
				"stock/cancelled-reserved short", "stock/reserved tea",
			},
		},
		"a service without activity": {
			func(f *fixture) {
				f.shipping.Events.Consumed, f.shipping.Events.Published = newList[eventsaudit.Consumed](), newList[eventsaudit.Published]()
				f.order.Events.Consumed = newList(slices.DeleteFunc(f.order.Events.Consumed, func(m eventsaudit.Consumed) bool {
					return strings.HasPrefix(m.Handler, "shipment-")
				})...)
				f.payment.Events.Consumed = newList(slices.DeleteFunc(f.payment.Events.Consumed, func(m eventsaudit.Consumed) bool {
					return strings.HasPrefix(m.Handler, "shipment-")
				})...)
				f.inventory.Events.Consumed = newList(slices.DeleteFunc(f.inventory.Events.Consumed, func(m eventsaudit.Consumed) bool {
					return strings.HasPrefix(m.Handler, "shipment-")
				})...)
			},
			[]string{
				"events/not-consumed kept", "events/not-consumed kept", "events/not-consumed returned", "events/not-consumed returned",
				"events/not-consumed returned", "events/not-consumed short", "events/not-consumed short", "events/not-consumed young", "events/not-consumed young",
			},
		},
		"consumed twice": {
			func(f *fixture) {
				f.consume(Order, "payment-voided", f.publish("payment.voided.v1", "short", time.Minute), 0)
			},
			[]string{"events/consumed-twice short"},
		},
		"consumed, but not published": {
			func(f *fixture) { f.consume(Payment, "order-created", "ghost", time.Minute) },
			[]string{"events/unknown-event"},
		},
		"consumed, but still in the outbox": {
			func(f *fixture) {
				f.shipping.Events.Outbox = newList(eventsaudit.Unpublished{ID: "p", Type: "shipment.created.v1", Subject: "young", CreatedAt: noon.Add(-time.Second)})
				f.consume(Order, "shipment-created", "p", 0)
			},
			nil,
		},
		"published twice": {
			func(f *fixture) { f.publish("payment.refunded.v1", "returned", time.Minute) },
			[]string{"events/published-again returned"},
		},
		"published, and again in the outbox": {
			func(f *fixture) {
				f.shipping.Events.Outbox = newList(eventsaudit.Unpublished{ID: "p", Type: "shipment.delivered.v1", Subject: "kept", CreatedAt: noon})
			},
			[]string{"events/published-again kept"},
		},
		"order.created not published": {
			func(f *fixture) {
				f.unpublish("order.created.v1", "young")
				f.purge(Inventory, "order-created")
				f.purge(Payment, "order-created")
				f.purge(Shipping, "order-created")
				for _, id := range []string{"kept", "returned", "short"} {
					f.unpublish("order.created.v1", id)
					f.order.Events.Outbox = append(f.order.Events.Outbox, eventsaudit.Unpublished{
						ID: id, Type: "order.created.v1", Subject: id, CreatedAt: noon,
					})
				}
			},
			[]string{"events/not-published young"},
		},
		"end not published": {
			func(f *fixture) { f.unpublish("order.completed.v1", "kept") },
			[]string{"events/not-published kept"},
		},
		"end in the outbox": {
			func(f *fixture) {
				f.unpublish("order.completed.v1", "kept")
				f.order.Events.Outbox = append(f.order.Events.Outbox, eventsaudit.Unpublished{
					ID: "p", Type: "order.completed.v1", Subject: "kept", CreatedAt: noon,
				})
			},
			nil,
		},
		"end before the log begins": {
			func(f *fixture) {
				f.unpublish("order.completed.v1", "kept")
				f.editOrder("kept", func(o *order) { o.PlacedAt = noon.Add(-2 * time.Hour) })
			},
			nil,
		},
		"end without auditing": {
			func(f *fixture) {
				f.order.Events.Audited, f.order.Events.Published = false, newList[eventsaudit.Published]()
			},
			nil,
		},
		"two ends published": {
			func(f *fixture) { f.publish("order.cancelled.v1", "kept", time.Minute) },
			[]string{"events/published-wrongly kept"},
		},
		"end of an order under way": {
			func(f *fixture) { f.publish("order.completed.v1", "young", time.Minute) },
			[]string{"events/published-wrongly young"},
		},
		"published twice with the same id": {
			func(f *fixture) {
				f.order.Events.Published = append(f.order.Events.Published, f.order.Events.Published[0])
			},
			[]string{"events/published-twice kept"},
		},

		// dead letters
		"dead letters": {
			func(f *fixture) {
				f.publish("payment.voided.v1", "short", 2*time.Minute, "order.payment-voided")
				f.depths["order.payment-voided.dlq"] = 1
				f.depths["order.payment-voided.q"] = 7
			},
			[]string{"dead-letters/dead-lettered"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newCleanFixture(t)
			c.change(f)
			slices.Sort(c.want)
			if diff := cmp.Diff(append([]string{}, c.want...), findings(judge(f.reading()))); diff != "" {
				t.Error(diff)
			}
			for _, m := range judge(f.reading()) {
				if m.What == "" || m.Rule == "" || !slices.Contains(Kinds, m.Kind) {
					t.Errorf("incomplete: %+v", m)
				}
			}
		})
	}
}

func TestRules_PossibleDeadLetters(t *testing.T) {
	t.Parallel()
	f := newCleanFixture(t)
	f.depths["order.payment-voided.dlq"] = 2
	detail := func() string {
		t.Helper()
		found := judge(f.reading())
		if diff := cmp.Diff([]string{"dead-letters/dead-lettered"}, findings(found)); diff != "" {
			t.Fatal(diff)
		}
		return found[0].Detail
	}
	f.publish("payment.voided.v1", "on-its-way", time.Second, "order.payment-voided")
	if got := detail(); got != "2 messages" {
		t.Errorf("got %q", got)
	}
	f.publish("payment.voided.v1", "one", 2*time.Minute, "order.payment-voided")
	f.publish("payment.voided.v1", "another", 3*time.Minute, "order.payment-voided")
	if got := detail(); got != "2 messages, perhaps of another, one" {
		t.Errorf("got %q", got)
	}
	for i := range 10 {
		f.publish("payment.voided.v1", fmt.Sprintf("some-%d", i), time.Hour/5, "order.payment-voided")
	}
	if got := detail(); !strings.HasSuffix(got, ", some-7 and 2 more") {
		t.Errorf("got %q", got)
	}
}

func TestRules_CoverEveryKind(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds {
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.kind == kind }) {
			t.Errorf("no rule for %s", kind)
		}
	}
}

func TestRules_EventsUnderWay(t *testing.T) {
	t.Parallel()
	late := func(f *fixture) {
		f.editReservation("kept", func(r *audit.Reservation) { r.State = reserved })
		f.editProduct("tea", func(p *audit.Product) { p.OnHand, p.Reserved = 10, 3 })
	}
	for name, c := range map[string]struct {
		change func(f *fixture)
		want   []string
	}{
		"published, and not taken": {
			func(f *fixture) {
				f.publish("shipment.cancel_refused.v1", "kept", time.Minute, "order.shipment-cancel-refused")
			},
			[]string{"stock/completed-kept kept?"},
		},
		"published before the first of its kind was taken, and not overdue": {
			func(f *fixture) {
				f.publish("shipment.cancel_refused.v1", "kept", time.Minute, "order.shipment-cancel-refused")
				f.publish("shipment.cancel_refused.v1", "young", time.Second)
			},
			[]string{"stock/completed-kept kept?"},
		},
		"in the outbox": {
			func(f *fixture) {
				f.shipping.Events.Outbox = newList(eventsaudit.Unpublished{ID: "p", Type: "shipment.cancel_refused.v1", Subject: "kept", CreatedAt: noon})
			},
			[]string{"stock/completed-kept kept?"},
		},
		"not for those of others": {
			func(f *fixture) {
				f.publish("shipment.cancel_refused.v1", "young", time.Minute, "order.shipment-cancel-refused")
			},
			[]string{"stock/completed-kept kept"},
		},
		"nor for those that do not come": {
			func(f *fixture) {
				f.publish("shipment.cancel_refused.v1", "kept", 2*limit, "order.shipment-cancel-refused")
			},
			[]string{"events/not-consumed kept", "stock/completed-kept kept"},
		},
		"for everybody's part": {
			func(f *fixture) {
				f.publish("order.cancelled.v1", "short", time.Minute, "payment.order-cancelled", "shipping.order-cancelled")
				f.editPayment("short", func(p *audit.Payment) { p.State = "waiting" })
				f.editShipment("short", func(s *shipment) { s.State = "waiting" })
			},
			[]string{"events/published-again short", "money/not-ended short?", "parcel/not-ended short?", "stock/completed-kept kept"},
		},
		"nor for those scheduled for later": {func(*fixture) {}, []string{"stock/completed-kept kept"}},
		"in doubt, if they cannot be seen": {
			func(f *fixture) {
				f.shipping.Events.Audited, f.shipping.Events.Published = false, newList[eventsaudit.Published]()
				f.editOrder("kept", func(o *order) { o.WaitingSince = noon.Add(-time.Minute) })
			},
			[]string{"stock/completed-kept kept?"},
		},
		"and then not for ever": {
			func(f *fixture) {
				f.shipping.Events.Audited, f.shipping.Events.Published = false, newList[eventsaudit.Published]()
			},
			[]string{"stock/completed-kept kept"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newCleanFixture(t)
			late(f)
			c.change(f)
			if diff := cmp.Diff(c.want, findings(judge(f.reading()))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRules_CompareRemainingSnapshots(t *testing.T) {
	t.Parallel()
	for source, hide := range map[string]func(f *fixture){
		Order:     func(f *fixture) { f.order = nil },
		Inventory: func(f *fixture) { f.inventory = nil },
		Payment:   func(f *fixture) { f.payment = nil },
		Shipping:  func(f *fixture) { f.shipping = nil },
		Processor: func(f *fixture) { f.processor = nil },
		Carrier:   func(f *fixture) { f.carrier = nil },
		broker:    func(f *fixture) { f.depths = nil },
	} {
		f := newCleanFixture(t)
		hide(f)
		if diff := cmp.Diff([]string{}, findings(judge(f.reading()))); diff != "" {
			t.Errorf("without %s: %s", source, diff)
		}
		f.snapshots.missing = []gap{{source: source, err: errUnavailable}}
		r := summarize(f.reading(), nil, nil, Config{Depths: noDepths})
		if len(r.NotChecked) != 1 || !strings.Contains(r.NotChecked[0], source) || r.Status() != StatusNotChecked || r.Clean {
			t.Errorf("without %s: status %d, %v", source, r.Status(), r.NotChecked)
		}
	}
}

func TestRules_SelectedOrders(t *testing.T) {
	t.Parallel()
	f := newCleanFixture(t)
	f.editIntent("pi_kept", func(i *intent) { i.Captures = 0 })
	f.editIntent("pi_returned", func(i *intent) { i.Refunds = nil })
	f.editProduct("tea", func(p *audit.Product) { p.OnHand = 0 })
	f.depths["order.payment-voided.dlq"] = 1
	f.publish("order.created.v1", "kept", time.Hour, "payment.order-created")
	f.publish("order.cancelled.v1", "short", time.Hour, "payment.order-cancelled")
	f.order.Events.Outbox = newList(
		eventsaudit.Unpublished{ID: "a", Type: "order.completed.v1", Subject: "kept", ParkedAt: &noon},
		eventsaudit.Unpublished{ID: "b", Type: "order.cancelled.v1", Subject: "returned", ParkedAt: &noon},
	)
	want := []string{"money/cancelled-kept returned", "money/payment-disagrees returned", "outbox/parked returned", "events/published-again returned"}
	slices.Sort(want)
	if diff := cmp.Diff(want, findings(judge(f.reading("returned")))); diff != "" {
		t.Error(diff)
	}
	r := summarize(f.reading("returned", "stranger"), nil, nil, Config{})
	if diff := cmp.Diff([]string{"order stranger: unknown to the order service"}, r.NotChecked); diff != "" {
		t.Error(diff)
	}
}
