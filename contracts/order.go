package contracts

import "time"

// OrderCreated is published when a customer has placed an order and the order has been priced. It carries everything
// that the other services need, so that they never call the order service.
type OrderCreated struct {
	OrderID         string  `json:"orderId"`
	CustomerID      string  `json:"customerId"`
	Items           []Item  `json:"items"`
	Total           Money   `json:"total"`
	ShippingAddress Address `json:"shippingAddress"`
	PaymentMethod   string  `json:"paymentMethod"`
}

// States of an order, in the order service's API and audit snapshots: forward to completed, or by way of cancelling to
// cancelled.
const (
	OrderStatePending    = "pending"
	OrderStateReserved   = "reserved"
	OrderStatePaid       = "paid"
	OrderStateShipped    = "shipped"
	OrderStateCompleted  = "completed"
	OrderStateCancelling = "cancelling"
	OrderStateCancelled  = "cancelled"
)

// Reasons for the cancellation of an order.
const (
	ReasonCustomer      = "customer"      // the customer asked for it
	ReasonDeadline      = "deadline"      // the order was not paid in time
	ReasonOutOfStock    = "out_of_stock"  // inventory.reservation_failed
	ReasonCardDeclined  = "card_declined" // payment.failed
	ReasonUndeliverable = "undeliverable" // shipment.failed
)

// OrderCancelRequested is published when the customer asks for a cancellation, or when the payment deadline has passed.
// The shipping service decides whether the request comes in time: see docs/choreography.md.
type OrderCancelRequested struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"` // ReasonCustomer or ReasonDeadline
}

// OrderCancelled is published when an order has ended without a delivery.
type OrderCancelled struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

// OrderPaymentDeadlinePassed is scheduled when an order is placed. The order service is its only consumer.
type OrderPaymentDeadlinePassed struct {
	OrderID string `json:"orderId"`
}

// OrderConfirmed is published once, when the payment of an order is known.
type OrderConfirmed struct {
	OrderID    string `json:"orderId"`
	CustomerID string `json:"customerId"`
	Total      Money  `json:"total"`
}

// OrderCompleted is published when an order has been delivered.
type OrderCompleted struct {
	OrderID    string `json:"orderId"`
	CustomerID string `json:"customerId"`
	Total      Money  `json:"total"`
}

// OrderStalled is published when an order has waited for longer than it should. The order may still continue; if it
// does and then waits for too long again, the event is published again.
type OrderStalled struct {
	OrderID   string    `json:"orderId"`
	State     string    `json:"state"`
	Missing   string    `json:"missing"`   // the missing fact: reserved, paid, booked, dispatched, delivered or cancelled
	WaitingOn string    `json:"waitingOn"` // the service that publishes the missing fact
	Since     time.Time `json:"since"`
}

func (OrderCreated) EventType() string               { return "order.created.v1" }
func (OrderCancelRequested) EventType() string       { return "order.cancel_requested.v1" }
func (OrderCancelled) EventType() string             { return "order.cancelled.v1" }
func (OrderPaymentDeadlinePassed) EventType() string { return "order.payment_deadline_passed.v1" }
func (OrderConfirmed) EventType() string             { return "order.confirmed.v1" }
func (OrderCompleted) EventType() string             { return "order.completed.v1" }
func (OrderStalled) EventType() string               { return "order.stalled.v1" }

func (e OrderCreated) Subject() string               { return e.OrderID }
func (e OrderCancelRequested) Subject() string       { return e.OrderID }
func (e OrderCancelled) Subject() string             { return e.OrderID }
func (e OrderPaymentDeadlinePassed) Subject() string { return e.OrderID }
func (e OrderConfirmed) Subject() string             { return e.OrderID }
func (e OrderCompleted) Subject() string             { return e.OrderID }
func (e OrderStalled) Subject() string               { return e.OrderID }
