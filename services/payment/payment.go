// Package payment charges an order once its stock is reserved, and gives the money back if the order ends without
// a delivery.
//
// It promises: at most one capture for an order, whatever is repeated, lost or reordered; a decision only ever
// taken with the order's row locked; and no call to the card processor inside a database transaction. A declined
// card is an event, a processor that does not answer is an error that is retried.
//
// This file is the domain: what a payment is and what each fact does to it. It knows no clock, no database and no
// broker; service.go runs its rules.
package payment

// State is where an order's payment stands.
type State string

// A payment waits for two facts, the order and its reserved stock, that may arrive in either order. A call that is
// outstanding is a state of its own: "not yet charged" and "being charged" must not look alike.
const (
	Waiting        State = "waiting"
	Charging       State = "charging"
	ChargingCancel State = "charging_cancel" // being charged, and already asked to give it back
	Charged        State = "charged"
	Refunding      State = "refunding"
	Refunded       State = "refunded"
	Failed         State = "failed" // declined; nothing was captured
	Voided         State = "voided" // will never be charged
)

// Fact is something that this service tells others, or itself, about a payment.
type Fact string

// What a rule may decide to publish.
const (
	ChargeStarted  Fact = "charge_requested" // to itself: make the charge
	RefundStarted  Fact = "refund_requested" // to itself: make the refund
	ChargeCaptured Fact = "processed"
	ChargeDeclined Fact = "failed"
	MoneyReturned  Fact = "refunded"
	ChargeVoided   Fact = "voided"
)

// Money is an amount in minor units of an ISO 4217 currency.
type Money struct {
	Amount   int64
	Currency string
}

// Payment is what is known about paying for one order. Its methods are the rules: each takes a fact, moves the
// payment on and answers what to publish; nil means that there is nothing to tell, which is also the answer to a
// fact that no longer matters.
type Payment struct {
	OrderID string
	State   State

	OrderSeen bool // order.created has arrived
	StockSeen bool // inventory.reserved has arrived

	Amount        Money
	PaymentMethod string // the processor's name for the card; dropped as soon as no charge can follow
	DeclineCode   string // why it failed
	Reason        string // why it was voided, or given back
}

// NewPayment is the payment of an order that nothing is known about yet.
func NewPayment(orderID string) Payment { return Payment{OrderID: orderID, State: Waiting} }

// OrderCreated brings the amount and the card. If the order was cancelled before it was met, the card is not kept.
func (p *Payment) OrderCreated(amount Money, paymentMethod string) []Fact {
	if p.State != Waiting || p.OrderSeen {
		return nil
	}
	p.OrderSeen, p.Amount, p.PaymentMethod = true, amount, paymentMethod
	return p.chargeIfComplete()
}

// StockReserved is the other half of what a charge needs.
func (p *Payment) InventoryReserved() []Fact {
	if p.State != Waiting {
		return nil
	}
	p.StockSeen = true
	return p.chargeIfComplete()
}

func (p *Payment) chargeIfComplete() []Fact {
	if !p.OrderSeen || !p.StockSeen {
		return nil
	}
	p.State = Charging
	return []Fact{ChargeStarted}
}

// Captured is the processor's word that it has the money. If the order was cancelled meanwhile, it goes back.
func (p *Payment) ChargeSucceeded() []Fact {
	switch p.State {
	case Charging:
		p.State, p.PaymentMethod = Charged, ""
		return []Fact{ChargeCaptured}
	case ChargingCancel:
		p.State, p.PaymentMethod = Refunding, ""
		return []Fact{RefundStarted}
	default:
		return nil
	}
}

// Declined is the processor's word that this card will not pay.
func (p *Payment) ChargeDeclined(code string) []Fact {
	if !p.ShouldCharge() {
		return nil
	}
	p.State, p.PaymentMethod, p.DeclineCode = Failed, "", code
	return []Fact{ChargeDeclined}
}

// ShipmentCancelled says that no parcel will leave: nothing must be charged, or what was charged must go back. It
// may arrive before the order itself, and then makes sure that the order is never charged.
func (p *Payment) ShipmentCancelled(reason string) []Fact {
	switch p.State {
	case Waiting:
		p.void(reason)
		return []Fact{ChargeVoided}
	case Charging:
		p.State, p.Reason = ChargingCancel, reason
		return nil
	case Charged:
		p.State, p.Reason = Refunding, reason
		return []Fact{RefundStarted}
	default:
		return nil
	}
}

// ShipmentFailed says that the carrier will not deliver what was paid for.
func (p *Payment) ShipmentFailed(reason string) []Fact {
	if p.State != Charged {
		return nil
	}
	p.State, p.Reason = Refunding, reason
	return []Fact{RefundStarted}
}

// OrderCancelled makes a payment that still waits forget the order. Everyone knows already, so it says nothing.
func (p *Payment) OrderCancelled(reason string) []Fact {
	if p.State == Waiting {
		p.void(reason)
	}
	return nil
}

// RefundLanded is the processor's word that the money is on its way back.
func (p *Payment) RefundSucceeded() []Fact {
	if !p.ShouldRefund() {
		return nil
	}
	p.State = Refunded
	return []Fact{MoneyReturned}
}

// ChargeWanted says whether the processor should still be asked for the money. A cancellation does not end that:
// the charge may already be under way, so it is brought to its end and then given back.
func (p *Payment) ShouldCharge() bool { return p.State == Charging || p.State == ChargingCancel }

// RefundWanted says whether the processor should still be asked to give the money back.
func (p *Payment) ShouldRefund() bool { return p.State == Refunding }

// Captured and given back so far, in minor units.
func (p *Payment) captured() int64 {
	switch p.State {
	case Charged, Refunding, Refunded:
		return p.Amount.Amount
	default:
		return 0
	}
}

func (p *Payment) refunded() int64 {
	if p.State == Refunded {
		return p.Amount.Amount
	}
	return 0
}

func (p *Payment) void(reason string) {
	p.State, p.PaymentMethod, p.Reason = Voided, "", reason
}
