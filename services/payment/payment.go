// Package payment charges an order once its stock is reserved, and refunds it if the order ends without a delivery.
//
// Guarantees: at most one capture for an order, whatever is repeated, lost or reordered. Every decision is taken with
// the order's row locked, and no call to the card processor is made inside a database transaction. A declined card is an
// event (payment.failed); a card processor that is unavailable is an error, and the event is retried.
//
// This file is the domain: the types and the rules, without clock, database or broker. An event goes this way:
// subscriptions.go routes it to a rule, service.go locks the order's row, runs the rule and publishes the events that the
// rule returns.
package payment

import "github.com/quadrille-dev/quadrille/contracts"

// State is the state of a payment.
type State string

// States of a payment. A payment waits for two events, the order and its reserved stock, which may arrive in any order.
// An outstanding call to the card processor is a state of its own, so that "not yet charged" and "being charged" cannot
// be confused.
const (
	Waiting        State = "waiting"
	Charging       State = "charging"
	ChargingCancel State = "charging_cancel" // being charged, to be refunded
	Charged        State = "charged"
	Refunding      State = "refunding"
	Refunded       State = "refunded"
	Failed         State = "failed" // declined; nothing was captured
	Voided         State = "voided" // will never be charged
)

// Money is an amount in minor units of an ISO 4217 currency.
type Money struct {
	Amount   int64
	Currency string
}

// Payment is the payment of one order. Its methods are the rules: each is named for the event, or for the result of a
// call to the card processor, that it handles, and returns the events to publish. An event that no longer matters
// changes nothing.
type Payment struct {
	OrderID string
	State   State

	OrderReceived bool // order.created has arrived
	StockReserved bool // inventory.reserved has arrived

	Amount        Money
	PaymentMethod string // the card processor's name for the card; dropped as soon as no charge can follow
	DeclineCode   string // why it failed
	Reason        string // why it was voided or refunded
}

// NewPayment returns the payment of an order that has not arrived yet.
func NewPayment(orderID string) Payment { return Payment{OrderID: orderID, State: Waiting} }

// OrderCreated stores the amount and the card. If the order was cancelled before it arrived, the card is not stored.
func (p *Payment) OrderCreated(e contracts.OrderCreated) []contracts.ETO {
	if p.State != Waiting || p.OrderReceived {
		return nil
	}
	p.OrderReceived, p.Amount, p.PaymentMethod = true, Money(e.Total), e.PaymentMethod
	return p.chargeIfComplete()
}

// InventoryReserved records that the stock is reserved, the other condition of a charge.
func (p *Payment) InventoryReserved(contracts.InventoryReserved) []contracts.ETO {
	if p.State != Waiting {
		return nil
	}
	p.StockReserved = true
	return p.chargeIfComplete()
}

func (p *Payment) chargeIfComplete() []contracts.ETO {
	if !p.OrderReceived || !p.StockReserved {
		return nil
	}
	p.State = Charging
	return []contracts.ETO{contracts.PaymentChargeRequested{OrderID: p.OrderID}}
}

// ShipmentCancelled voids the payment, or refunds what was captured: no parcel will leave. The event may arrive before
// the order itself; then the order is never charged.
func (p *Payment) ShipmentCancelled(e contracts.ShipmentCancelled) []contracts.ETO {
	switch p.State {
	case Waiting:
		p.void(e.Reason)
		return []contracts.ETO{contracts.PaymentVoided{OrderID: p.OrderID, Reason: p.Reason}}
	case Charging:
		p.State, p.Reason = ChargingCancel, e.Reason
		return nil
	case Charged:
		return p.refund(e.Reason)
	default:
		return nil
	}
}

// ShipmentFailed refunds what was captured: the carrier does not deliver to the address.
func (p *Payment) ShipmentFailed(contracts.ShipmentFailed) []contracts.ETO {
	if p.State != Charged {
		return nil
	}
	return p.refund(contracts.ReasonUndeliverable)
}

// OrderCancelled voids a payment that still waits. No service waits for an event about this.
func (p *Payment) OrderCancelled(e contracts.OrderCancelled) []contracts.ETO {
	if p.State == Waiting {
		p.void(e.Reason)
	}
	return nil
}

// ChargeSucceeded records that the card processor has captured the amount under the given id. If the order was cancelled
// during the charge, the amount is refunded.
func (p *Payment) ChargeSucceeded(paymentID string) []contracts.ETO {
	switch p.State {
	case Charging:
		p.State, p.PaymentMethod = Charged, ""
		return []contracts.ETO{
			contracts.PaymentProcessed{OrderID: p.OrderID, PaymentID: paymentID, Amount: contracts.Money(p.Amount)},
		}
	case ChargingCancel:
		p.PaymentMethod = ""
		return p.refund(p.Reason)
	default:
		return nil
	}
}

// ChargeDeclined records that the card processor has declined the card.
func (p *Payment) ChargeDeclined(code string) []contracts.ETO {
	if !p.ShouldCharge() {
		return nil
	}
	p.State, p.PaymentMethod, p.DeclineCode = Failed, "", code
	return []contracts.ETO{contracts.PaymentFailed{OrderID: p.OrderID, Code: code}}
}

// RefundSucceeded records that the card processor has made the refund.
func (p *Payment) RefundSucceeded() []contracts.ETO {
	if !p.ShouldRefund() {
		return nil
	}
	p.State = Refunded
	return []contracts.ETO{
		contracts.PaymentRefunded{OrderID: p.OrderID, Amount: contracts.Money(p.Amount), Reason: p.Reason},
	}
}

// ShouldCharge reports whether the card processor should still be called for the charge. That includes a payment that
// was cancelled during the charge: an earlier call may have captured the amount, so the charge is completed and then
// refunded.
func (p *Payment) ShouldCharge() bool { return p.State == Charging || p.State == ChargingCancel }

// ShouldRefund reports whether the card processor should still be called for the refund.
func (p *Payment) ShouldRefund() bool { return p.State == Refunding }

func (p *Payment) refund(reason string) []contracts.ETO {
	p.State, p.Reason = Refunding, reason
	return []contracts.ETO{contracts.PaymentRefundRequested{OrderID: p.OrderID}}
}

func (p *Payment) void(reason string) {
	p.State, p.PaymentMethod, p.Reason = Voided, "", reason
}

// captured returns the amount captured so far, in minor units.
func (p *Payment) captured() int64 {
	switch p.State {
	case Charged, Refunding, Refunded:
		return p.Amount.Amount
	default:
		return 0
	}
}

// refunded returns the amount refunded so far, in minor units.
func (p *Payment) refunded() int64 {
	if p.State == Refunded {
		return p.Amount.Amount
	}
	return 0
}
