package payment

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
)

var (
	total = Money{Amount: 1999, Currency: "EUR"}

	paymentChargeRequested = contracts.PaymentChargeRequested{OrderID: "o"}
	paymentRefundRequested = contracts.PaymentRefundRequested{OrderID: "o"}
	paymentProcessed       = contracts.PaymentProcessed{OrderID: "o", PaymentID: "pi_1", Amount: contracts.Money(total)}
	paymentFailed          = contracts.PaymentFailed{OrderID: "o", Code: "generic_decline"}
	paymentRefunded        = contracts.PaymentRefunded{OrderID: "o", Amount: contracts.Money(total), Reason: "customer"}
	paymentVoided          = contracts.PaymentVoided{OrderID: "o", Reason: "customer"}
)

// rules are all rules of a payment, by the event or result that they handle.
var rules = map[string]func(*Payment) []contracts.ETO{
	"order.created": func(p *Payment) []contracts.ETO {
		return p.OrderCreated(contracts.OrderCreated{Total: contracts.Money(total), PaymentMethod: "pm_card_visa"})
	},
	"inventory.reserved": func(p *Payment) []contracts.ETO { return p.InventoryReserved(contracts.InventoryReserved{}) },
	"charge succeeded":   func(p *Payment) []contracts.ETO { return p.ChargeSucceeded("pi_1") },
	"charge declined":    func(p *Payment) []contracts.ETO { return p.ChargeDeclined("generic_decline") },
	"shipment.cancelled": func(p *Payment) []contracts.ETO {
		return p.ShipmentCancelled(contracts.ShipmentCancelled{Reason: "customer"})
	},
	"shipment.failed": func(p *Payment) []contracts.ETO { return p.ShipmentFailed(contracts.ShipmentFailed{}) },
	"order.cancelled": func(p *Payment) []contracts.ETO {
		return p.OrderCancelled(contracts.OrderCancelled{Reason: "customer"})
	},
	"refund succeeded": (*Payment).RefundSucceeded,
}

// situations are all that a payment can be in; waiting has three.
var situations = map[string]Payment{
	"waiting":           {State: Waiting},
	"waiting for stock": {State: Waiting, OrderReceived: true, Amount: total, PaymentMethod: "pm_card_visa"},
	"waiting for order": {State: Waiting, StockReserved: true},
	"charging":          {State: Charging, OrderReceived: true, StockReserved: true, Amount: total, PaymentMethod: "pm_card_visa"},
	"charging+cancel":   {State: ChargingCancel, OrderReceived: true, StockReserved: true, Amount: total, PaymentMethod: "pm_card_visa", Reason: "customer"},
	"charged":           {State: Charged, OrderReceived: true, StockReserved: true, Amount: total},
	"refunding":         {State: Refunding, OrderReceived: true, StockReserved: true, Amount: total, Reason: "customer"},
	"refunded":          {State: Refunded, OrderReceived: true, StockReserved: true, Amount: total, Reason: "customer"},
	"failed":            {State: Failed, OrderReceived: true, StockReserved: true, Amount: total, DeclineCode: "generic_decline"},
	"voided":            {State: Voided, Reason: "customer"},
}

// step is a cell of the table.
type step struct{ in, on string }

// result is the situation after the rule, and the events that it returns.
type result struct {
	situation string
	etos      []contracts.ETO
}

// table is payment's part of the choreography. A cell that is missing is a no-op.
var table = map[step]result{
	{"waiting", "order.created"}:                {"waiting for stock", nil},
	{"waiting", "inventory.reserved"}:           {"waiting for order", nil},
	{"waiting for stock", "inventory.reserved"}: {"charging", []contracts.ETO{paymentChargeRequested}},
	{"waiting for order", "order.created"}:      {"charging", []contracts.ETO{paymentChargeRequested}},

	{"waiting", "shipment.cancelled"}: {"voided", []contracts.ETO{paymentVoided}},
	{"waiting", "order.cancelled"}:    {"voided", nil},

	{"charging", "charge succeeded"}:        {"charged", []contracts.ETO{paymentProcessed}},
	{"charging", "charge declined"}:         {"failed", []contracts.ETO{paymentFailed}},
	{"charging", "shipment.cancelled"}:      {"charging+cancel", nil},
	{"charging+cancel", "charge succeeded"}: {"refunding", []contracts.ETO{paymentRefundRequested}},

	{"charged", "shipment.cancelled"}: {"refunding", []contracts.ETO{paymentRefundRequested}},
	{"refunding", "refund succeeded"}: {"refunded", []contracts.ETO{paymentRefunded}},
}

func TestPayment_Rules(t *testing.T) {
	t.Parallel()
	for situation, before := range situations {
		for stimulus, rule := range rules {
			cell, listed := table[step{situation, stimulus}]
			if !listed {
				cell = result{situation: situation}
			}
			want := situations[cell.situation]
			switch (step{situation, stimulus}) {
			// Cases that the situations above do not distinguish.
			case step{"waiting for stock", "shipment.cancelled"}, step{"waiting for stock", "order.cancelled"}:
				want = Payment{State: Voided, OrderReceived: true, Amount: total, Reason: "customer"}
				cell.etos = voidedIf(stimulus == "shipment.cancelled")
			case step{"waiting for order", "shipment.cancelled"}, step{"waiting for order", "order.cancelled"}:
				want = Payment{State: Voided, StockReserved: true, Reason: "customer"}
				cell.etos = voidedIf(stimulus == "shipment.cancelled")
			case step{"charging+cancel", "charge declined"}:
				want = situations["failed"]
				want.Reason = "customer"
				cell.etos = []contracts.ETO{paymentFailed}
			case step{"charged", "shipment.failed"}:
				want = situations["refunding"]
				want.Reason = "undeliverable"
				cell.etos = []contracts.ETO{paymentRefundRequested}
			}
			t.Run(situation+" on "+stimulus, func(t *testing.T) {
				t.Parallel()
				after := before
				after.OrderID, want.OrderID = "o", "o"
				etos := rule(&after)
				if diff := cmp.Diff(want, after); diff != "" {
					t.Errorf("payment (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(cell.etos, etos); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func voidedIf(yes bool) []contracts.ETO {
	if yes {
		return []contracts.ETO{paymentVoided}
	}
	return nil
}

// In whatever order a cancelled order's events arrive, and however often each arrives, nothing stays captured and the end
// is published once.
func TestPayment_CancellationInAnyOrder(t *testing.T) {
	t.Parallel()
	sequences := 0
	var walk func(p Payment, left []string, captured int, published []contracts.ETO)
	walk = func(p Payment, left []string, captured int, published []contracts.ETO) {
		moved := false
		move := func(left []string, captured int, rule func(*Payment) []contracts.ETO) {
			moved = true
			next := p
			etos := rule(&next)
			walk(next, left, captured, slices.Concat(published, etos))
		}
		for i, stimulus := range left {
			move(slices.Delete(slices.Clone(left), i, i+1), captured, rules[stimulus])
		}
		if slices.Contains(published, contracts.ETO(paymentChargeRequested)) && p.ShouldCharge() {
			move(left, captured+1, rules["charge succeeded"])
		}
		if slices.Contains(published, contracts.ETO(paymentRefundRequested)) && p.ShouldRefund() {
			move(left, captured, (*Payment).RefundSucceeded)
		}
		if moved {
			return
		}
		sequences++
		want := Voided
		if captured > 0 {
			want = Refunded
		}
		if captured > 1 || p.State != want || p.PaymentMethod != "" {
			t.Fatalf("captured %d times, ends as %+v, published %v", captured, p, published)
		}
		endings := slices.DeleteFunc(slices.Clone(published), func(e contracts.ETO) bool {
			return e != contracts.ETO(paymentVoided) && e != contracts.ETO(paymentRefunded)
		})
		if len(endings) != 1 {
			t.Fatalf("published %v", published)
		}
	}
	walk(NewPayment("o"), []string{
		"order.created", "order.created", "inventory.reserved", "inventory.reserved", "shipment.cancelled", "shipment.cancelled",
	}, 0, nil)
	if sequences == 0 {
		t.Fatal("no sequence was tried")
	}
}
