package payment

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var total = Money{Amount: 1999, Currency: "EUR"}

// stimuli are all facts that a payment can be told.
var stimuli = map[string]func(*Payment) []Fact{
	"order.created":      func(p *Payment) []Fact { return p.OrderCreated(total, "pm_card_visa") },
	"inventory.reserved": (*Payment).InventoryReserved,
	"captured":           (*Payment).ChargeSucceeded,
	"declined":           func(p *Payment) []Fact { return p.ChargeDeclined("generic_decline") },
	"shipment.cancelled": func(p *Payment) []Fact { return p.ShipmentCancelled("customer") },
	"shipment.failed":    func(p *Payment) []Fact { return p.ShipmentFailed("undeliverable") },
	"order.cancelled":    func(p *Payment) []Fact { return p.OrderCancelled("customer") },
	"refund landed":      (*Payment).RefundSucceeded,
}

// situations are all that a payment can be in; waiting has three.
var situations = map[string]Payment{
	"waiting":           {State: Waiting},
	"waiting for stock": {State: Waiting, OrderSeen: true, Amount: total, PaymentMethod: "pm_card_visa"},
	"waiting for order": {State: Waiting, StockSeen: true},
	"charging":          {State: Charging, OrderSeen: true, StockSeen: true, Amount: total, PaymentMethod: "pm_card_visa"},
	"charging+cancel":   {State: ChargingCancel, OrderSeen: true, StockSeen: true, Amount: total, PaymentMethod: "pm_card_visa", Reason: "customer"},
	"charged":           {State: Charged, OrderSeen: true, StockSeen: true, Amount: total},
	"refunding":         {State: Refunding, OrderSeen: true, StockSeen: true, Amount: total, Reason: "customer"},
	"refunded":          {State: Refunded, OrderSeen: true, StockSeen: true, Amount: total, Reason: "customer"},
	"failed":            {State: Failed, OrderSeen: true, StockSeen: true, Amount: total, DeclineCode: "generic_decline"},
	"voided":            {State: Voided, Reason: "customer"},
}

// step is a cell of the table.
type step struct{ in, on string }

// result is where a cell leads, and what it tells.
type result struct {
	situation string
	tells     []Fact
}

// table is payment's part of the choreography. A cell that is not here ignores the fact.
var table = map[step]result{
	{"waiting", "order.created"}:                {"waiting for stock", nil},
	{"waiting", "inventory.reserved"}:           {"waiting for order", nil},
	{"waiting for stock", "inventory.reserved"}: {"charging", []Fact{ChargeStarted}},
	{"waiting for order", "order.created"}:      {"charging", []Fact{ChargeStarted}},

	{"waiting", "shipment.cancelled"}: {"voided", []Fact{ChargeVoided}},
	{"waiting", "order.cancelled"}:    {"voided", nil},

	{"charging", "captured"}:           {"charged", []Fact{ChargeCaptured}},
	{"charging", "declined"}:           {"failed", []Fact{ChargeDeclined}},
	{"charging", "shipment.cancelled"}: {"charging+cancel", nil},
	{"charging+cancel", "captured"}:    {"refunding", []Fact{RefundStarted}},

	{"charged", "shipment.cancelled"}: {"refunding", []Fact{RefundStarted}},
	{"refunding", "refund landed"}:    {"refunded", []Fact{MoneyReturned}},
}

func TestRules_FollowTheTable(t *testing.T) {
	t.Parallel()
	for situation, before := range situations {
		for stimulus, rule := range stimuli {
			cell, listed := table[step{situation, stimulus}]
			if !listed {
				cell = result{situation: situation}
			}
			want := situations[cell.situation]
			switch (step{situation, stimulus}) {
			// What the situations above do not tell apart.
			case step{"waiting for stock", "shipment.cancelled"}, step{"waiting for stock", "order.cancelled"}:
				want = Payment{State: Voided, OrderSeen: true, Amount: total, Reason: "customer"}
				cell.tells = tellsIf(stimulus == "shipment.cancelled", ChargeVoided)
			case step{"waiting for order", "shipment.cancelled"}, step{"waiting for order", "order.cancelled"}:
				want = Payment{State: Voided, StockSeen: true, Reason: "customer"}
				cell.tells = tellsIf(stimulus == "shipment.cancelled", ChargeVoided)
			case step{"charging+cancel", "declined"}:
				want = situations["failed"]
				want.Reason = "customer"
				cell.tells = []Fact{ChargeDeclined}
			case step{"charged", "shipment.failed"}:
				want = situations["refunding"]
				want.Reason = "undeliverable"
				cell.tells = []Fact{RefundStarted}
			}
			t.Run(situation+" on "+stimulus, func(t *testing.T) {
				t.Parallel()
				after := before
				tells := rule(&after)
				if diff := cmp.Diff(want, after); diff != "" {
					t.Errorf("payment (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(cell.tells, tells); diff != "" {
					t.Errorf("facts (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func tellsIf(yes bool, fact Fact) []Fact {
	if yes {
		return []Fact{fact}
	}
	return nil
}

// Whatever the order of a cancelled order's events, and however often each comes, nothing stays captured and
// somebody is told how it ended.
func TestRules_CancellationInAnyOrderReturnsTheMoney(t *testing.T) {
	t.Parallel()
	stories := 0
	var walk func(p Payment, left []string, captured int, told []Fact)
	walk = func(p Payment, left []string, captured int, told []Fact) {
		moved := false
		move := func(left []string, captured int, rule func(*Payment) []Fact) {
			moved = true
			next := p
			facts := rule(&next)
			walk(next, left, captured, slices.Concat(told, facts))
		}
		for i, stimulus := range left {
			move(slices.Delete(slices.Clone(left), i, i+1), captured, stimuli[stimulus])
		}
		if slices.Contains(told, ChargeStarted) && p.ShouldCharge() {
			move(left, captured+1, (*Payment).ChargeSucceeded)
		}
		if slices.Contains(told, RefundStarted) && p.ShouldRefund() {
			move(left, captured, (*Payment).RefundSucceeded)
		}
		if moved {
			return
		}
		stories++
		want := Voided
		if captured > 0 {
			want = Refunded
		}
		if captured > 1 || p.State != want || p.PaymentMethod != "" {
			t.Fatalf("captured %d times, ends as %+v, told %v", captured, p, told)
		}
		endings := slices.DeleteFunc(slices.Clone(told), func(f Fact) bool { return f != ChargeVoided && f != MoneyReturned })
		if len(endings) != 1 {
			t.Fatalf("told %v", told)
		}
	}
	walk(NewPayment("o"), []string{
		"order.created", "order.created", "inventory.reserved", "inventory.reserved", "shipment.cancelled", "shipment.cancelled",
	}, 0, nil)
	if stories == 0 {
		t.Fatal("no story was told")
	}
}
