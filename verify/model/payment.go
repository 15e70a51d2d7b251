package model

import (
	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/payment"
)

// The processor's answers.
const (
	captured = "the processor has the money"
	declined = "the processor declines the card"
	landed   = "the processor has given the money back"
)

func payments() party[payment.Payment, payment.Fact] {
	type p = payment.Payment
	reason := func(e eto) func(*p) event {
		return func(s *p) event { return event{e.EventType(), s.Reason} }
	}
	return party[p, payment.Fact]{
		name:  "payment",
		hears: payment.Subscriptions(nil),
		start: func(Circumstances) p { return payment.NewPayment("1") },
		label: func(s *p) string {
			switch {
			case s.State == payment.Waiting && s.OrderSeen:
				return "waiting for the stock"
			case s.State == payment.Waiting && s.StockSeen:
				return "waiting for the order"
			case s.State == payment.Waiting:
				return "waiting for both"
			case s.State == payment.ChargingCancel:
				return "charging, to be cancelled"
			default:
				return string(s.State)
			}
		},
		rules: map[string]rule[p, payment.Fact]{
			"order-created": func(s *p, _ event) []payment.Fact {
				return s.OrderCreated(payment.Money{Amount: 2, Currency: "EUR"}, "card")
			},
			"inventory-reserved": whatever((*p).InventoryReserved),
			"order-cancelled":    func(s *p, e event) []payment.Fact { return s.OrderCancelled(e.Detail) },
			"shipment-cancelled": func(s *p, e event) []payment.Fact { return s.ShipmentCancelled(e.Detail) },
			"shipment-failed": func(s *p, _ event) []payment.Fact {
				return s.ShipmentFailed(contracts.ReasonUndeliverable)
			},

			captured: whatever((*p).ChargeSucceeded),
			declined: func(s *p, _ event) []payment.Fact { return s.ChargeDeclined("card_declined") },
			landed:   whatever((*p).RefundSucceeded),
		},
		calls: map[string]call[p]{
			"payment-charge-requested": {wanted: (*p).ShouldCharge, make: charge},
			"payment-refund-requested": {wanted: (*p).ShouldRefund, make: refund},
		},
		tells: map[payment.Fact]func(*p) event{
			payment.ChargeStarted:  plain[p](contracts.PaymentChargeRequested{}),
			payment.RefundStarted:  plain[p](contracts.PaymentRefundRequested{}),
			payment.ChargeCaptured: plain[p](contracts.PaymentProcessed{}),
			payment.ChargeDeclined: plain[p](contracts.PaymentFailed{}),
			payment.MoneyReturned:  reason(contracts.PaymentRefunded{}),
			payment.ChargeVoided:   reason(contracts.PaymentVoided{}),
		},
	}
}
