package model

import (
	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/payment"
)

// Results of calls to the card processor.
const (
	captured   = "the processor has the money"
	declined   = "the processor declines the card"
	refundMade = "the processor has given the money back"
)

func newPaymentProcess() process[payment.Payment] {
	type p = payment.Payment
	return process[p]{
		name:          "payment",
		subscriptions: payment.Subscriptions(nil),
		start:         func(Circumstances) p { return payment.NewPayment("1") },
		label: func(s *p) string {
			switch {
			case s.State == payment.Waiting && s.OrderReceived:
				return "waiting for the stock"
			case s.State == payment.Waiting && s.StockReserved:
				return "waiting for the order"
			case s.State == payment.Waiting:
				return "waiting for both"
			case s.State == payment.ChargingCancel:
				return "charging, to be cancelled"
			default:
				return string(s.State)
			}
		},
		rules: map[string]rule[p]{
			"order-created":      on((*p).OrderCreated),
			"inventory-reserved": on((*p).InventoryReserved),
			"order-cancelled":    on((*p).OrderCancelled),
			"shipment-cancelled": on((*p).ShipmentCancelled),
			"shipment-failed":    on((*p).ShipmentFailed),

			captured:   func(s *p, _ event) []contracts.ETO { return s.ChargeSucceeded("payment") },
			declined:   func(s *p, _ event) []contracts.ETO { return s.ChargeDeclined("card_declined") },
			refundMade: func(s *p, _ event) []contracts.ETO { return s.RefundSucceeded() },
		},
		calls: map[string]call[p]{
			"payment-charge-requested": {wanted: (*p).ShouldCharge, make: charge},
			"payment-refund-requested": {wanted: (*p).ShouldRefund, make: refund},
		},
	}
}
