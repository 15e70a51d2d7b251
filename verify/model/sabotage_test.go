package model

import (
	"errors"
	"strings"
	"testing"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/services/payment"
	"github.com/quadrille-dev/quadrille/services/shipping"
)

// The model must find errors. Each case leaves out one rule that looks unnecessary, and an invariant fails.
func TestExplore_CatchesEverySabotage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		sabotage func(*services)
		faults   int
		caught   string // the invariant
		by       string // a part of its path
	}{
		{
			name: "payment ignores a cancellation while it charges",
			sabotage: func(d *services) {
				honest := d.payment.rules["shipment-cancelled"]
				d.payment.rules["shipment-cancelled"] = func(p *payment.Payment, e event) []contracts.ETO {
					if p.State == payment.Charging {
						return nil
					}
					return honest(p, e)
				}
			},
			caught: "the order ends completed or cancelled", by: "payment, charging: handles shipment.cancelled",
		},
		{
			name: "payment leaves no tombstone",
			sabotage: func(d *services) {
				honest := d.payment.rules["shipment-cancelled"]
				d.payment.rules["shipment-cancelled"] = func(p *payment.Payment, e event) []contracts.ETO {
					if p.State == payment.Waiting {
						return nil
					}
					return honest(p, e)
				}
			},
			caught: "the order ends completed or cancelled", by: "handles shipment.cancelled",
		},
		{
			name: "inventory leaves no tombstone",
			sabotage: func(d *services) {
				honest := d.inventory.rules["payment-voided"]
				d.inventory.rules["payment-voided"] = func(s *stock, e event) []contracts.ETO {
					if s.Reservation.State == inventory.None {
						return nil
					}
					return honest(s, e)
				}
			},
			caught: "the stock of a cancelled order is for sale", by: "inventory, none: handles payment.voided",
		},
		{
			name:     "shipping leaves no tombstone for an order that is cancelled elsewhere",
			sabotage: func(d *services) { d.shipping.rules["order-cancelled"] = nil },
			caught:   "shipping has ended, and has deleted the address",
		},
		{
			name: "the deadline is as hard as a customer's request",
			sabotage: func(d *services) {
				d.shipping.rules["order-cancel-requested"] = func(s *shipment, _ event) []contracts.ETO {
					return s.Shipment.OrderCancelRequested(contracts.OrderCancelRequested{Reason: contracts.ReasonCustomer})
				}
			},
			caught: "an order is cancelled for a reason that applies",
		},
		{
			name: "the deadline does not give way to a payment",
			sabotage: func(d *services) {
				honest := d.shipping.rules["order-cancel-requested"]
				d.shipping.rules["order-cancel-requested"] = func(s *shipment, e event) []contracts.ETO {
					etos := honest(s, event{Detail: string(order.ByCustomer)})
					if s.Shipment.Reason != "" {
						s.Shipment.Reason = e.Detail
					}
					for i := range etos {
						if cancelled, ok := etos[i].(contracts.ShipmentCancelled); ok {
							cancelled.Reason = e.Detail
							etos[i] = cancelled
						}
					}
					return etos
				}
			},
			caught: "the deadline cancels no order whose payment has reached shipping", by: "order.cancel_requested (deadline)",
		},
		{
			name: "what was released is released again",
			sabotage: func(d *services) {
				honest := d.inventory.rules["payment-refunded"]
				d.inventory.rules["payment-refunded"] = func(s *stock, e event) []contracts.ETO {
					if s.Reservation.State == inventory.Released {
						s.Reservation.State = inventory.Reserved
					}
					return honest(s, e)
				}
			},
			faults: 1,
			caught: "stock on hand and reserved stock are never negative", by: "twice",
		},
		{
			name: "the stock leaves twice",
			sabotage: func(d *services) {
				honest := d.inventory.rules["shipment-dispatched"]
				d.inventory.rules["shipment-dispatched"] = func(s *stock, e event) []contracts.ETO {
					s.Reservation.State = inventory.Reserved
					return honest(s, e)
				}
			},
			faults: 1,
			caught: "stock on hand and reserved stock are never negative", by: "shipment.dispatched twice",
		},
		{
			name: "the order takes the state that an event names",
			sabotage: func(d *services) {
				d.order.rules["inventory-reserved"] = func(p *placedOrder, _ event) []contracts.ETO {
					p.Order.Observed.Reserved, p.Order.Observed.Cancelled = true, false
					return nil
				}
			},
			caught: "the order ends completed or cancelled", by: "order, cancelled: handles inventory.reserved",
		},
		{
			name: "the order confirms whenever it handles of the payment",
			sabotage: func(d *services) {
				honest := d.order.rules["payment-processed"]
				d.order.rules["payment-processed"] = func(p *placedOrder, e event) []contracts.ETO {
					p.Order.Confirmed = false
					return honest(p, e)
				}
			},
			faults: 1,
			caught: "an order is confirmed at most once",
		},
		{
			name: "shipping cancels a booked parcel without asking the carrier",
			sabotage: func(d *services) {
				honest := d.shipping.rules["order-cancel-requested"]
				d.shipping.rules["order-cancel-requested"] = func(s *shipment, e event) []contracts.ETO {
					if s.Shipment.State == shipping.Booked {
						s.Shipment.State = shipping.Waiting
					}
					return honest(s, e)
				}
			},
			caught: "no parcel leaves for a cancelled order",
		},
		{
			name: "the stock leaves when the parcel is booked",
			sabotage: func(d *services) {
				honest := d.shipping.rules[accepted]
				d.shipping.rules[accepted] = func(s *shipment, e event) []contracts.ETO {
					etos := honest(s, e)
					for i := range etos {
						if _, ok := etos[i].(contracts.ShipmentCreated); ok {
							etos[i] = contracts.ShipmentDispatched{OrderID: "1"}
						}
					}
					return etos
				}
			},
			caught: "the stock of a cancelled order is for sale", by: "the carrier has booked the parcel → booked; publishes shipment.dispatched",
		},
		{
			name: "a customer's cancel request is lost while the deadline's request is under way",
			sabotage: func(d *services) {
				honest := d.order.rules["shipment-cancel-refused"]
				d.order.rules["shipment-cancel-refused"] = func(p *placedOrder, e event) []contracts.ETO {
					etos := honest(p, e)
					if len(etos) == 1 && toEvent(etos[0]).Detail == contracts.ReasonCustomer {
						p.Order.CustomerAsked = false
						return nil
					}
					return etos
				}
			},
			caught: "an accepted cancel request is passed on unless another fact has decided the end",
			by:     "order, cancelling: the customer cancels",
		},
		{
			name: "shipping forgets that it was asked while it was booking",
			sabotage: func(d *services) {
				honest := d.shipping.rules["order-cancel-requested"]
				d.shipping.rules["order-cancel-requested"] = func(s *shipment, e event) []contracts.ETO {
					if s.Shipment.State == shipping.Booking {
						return nil
					}
					return honest(s, e)
				}
			},
			caught: "a cancel request that is passed on cancels the order, or is refused because the parcel has left",
		},
		{
			name: "the deadline insists",
			sabotage: func(d *services) {
				honest := d.order.rules["shipment-cancel-refused"]
				d.order.rules["shipment-cancel-refused"] = func(p *placedOrder, e event) []contracts.ETO {
					return append(honest(p, e), contracts.OrderCancelRequested{OrderID: "1", Reason: contracts.ReasonDeadline})
				}
			},
			caught: "every run ends", by: "order.cancel_requested (deadline)",
		},
		{
			name: "payment does not look at its state before it charges, and an intent is made for every call",
			sabotage: func(d *services) {
				d.payment.calls["payment-charge-requested"] = call[payment.Payment]{
					wanted: func(*payment.Payment) bool { return true },
					make:   func(w *state, _ Circumstances) string { w.captures++; return captured },
				}
			},
			faults: 1,
			caught: "the card is charged at most once",
		},
		{
			name: "payment refunds everything, not what is left",
			sabotage: func(d *services) {
				refunds := d.payment.calls["payment-refund-requested"]
				refunds.make = func(w *state, _ Circumstances) string { w.refunds++; return refundMade }
				d.payment.calls["payment-refund-requested"] = refunds
			},
			faults: 1,
			caught: "refunds never exceed captures",
		},
		{
			name: "the carrier does not know the order again",
			sabotage: func(d *services) {
				bookings := d.shipping.calls["shipment-booking-requested"]
				bookings.make = func(w *state, _ Circumstances) string { w.parcel, w.parcels = booked, w.parcels+1; return accepted }
				d.shipping.calls["shipment-booking-requested"] = bookings
			},
			faults: 1,
			caught: "at most one parcel is booked",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := newModel()
			tc.sabotage(d)
			var err error
			for _, c := range everyCircumstance() { // the simplest first, until one violates the invariant
				if _, err = d.exploreIn(c, tc.faults); err != nil {
					break
				}
			}
			var violation *Violation
			if !errors.As(err, &violation) {
				t.Fatalf("not caught: %v", err)
			}
			t.Log(violation)
			if violation.Invariant != tc.caught {
				t.Errorf("caught by the wrong invariant: want %q", tc.caught)
			}
			if path := strings.Join(violation.Path, "\n"); !strings.Contains(path, tc.by) {
				t.Errorf("the path lacks %q", tc.by)
			}
		})
	}
}
