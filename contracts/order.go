package contracts

import "time"

// OrderCreated says that a customer placed an order, priced and complete. It carries everything that the other
// services need, so that nobody has to ask back.
type OrderCreated struct {
	byOrder
	required
	OrderID         string  `json:"orderId"`
	CustomerID      string  `json:"customerId"`
	Items           []Item  `json:"items"`
	Total           Money   `json:"total"`
	ShippingAddress Address `json:"shippingAddress"`
	PaymentMethod   string  `json:"paymentMethod"`
}

// Why an order is to be cancelled, or was.
const (
	ReasonCustomer      = "customer"
	ReasonDeadline      = "deadline"
	ReasonOutOfStock    = "out_of_stock"
	ReasonDeclined      = "card_declined"
	ReasonUndeliverable = "undeliverable"
)

// OrderCancelRequested says that the customer, or the payment deadline, asks for the order to be cancelled.
// Shipping decides: see the choreography's table.
type OrderCancelRequested struct {
	byOrder
	required
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"` // customer or deadline
}

// OrderCancelled says that the order has ended without a delivery.
type OrderCancelled struct {
	byOrder
	required
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

// OrderPaymentDeadlinePassed is scheduled when an order is placed and comes back to the order service itself.
type OrderPaymentDeadlinePassed struct {
	byOrder
	required
	OrderID string `json:"orderId"`
}

// OrderConfirmed announces, once, that an order is paid for.
type OrderConfirmed struct {
	byOrder
	open
	OrderID    string `json:"orderId"`
	CustomerID string `json:"customerId"`
	Total      Money  `json:"total"`
}

// OrderCompleted announces that an order was delivered.
type OrderCompleted struct {
	byOrder
	open
	OrderID    string `json:"orderId"`
	CustomerID string `json:"customerId"`
	Total      Money  `json:"total"`
}

// OrderStalled announces that an order has waited for longer than it should. It may still go on; if it does and waits
// again, that is announced again.
type OrderStalled struct {
	byOrder
	open
	OrderID    string    `json:"orderId"`
	State      string    `json:"state"`
	WaitingFor string    `json:"waitingFor"` // the fact that is missing: reserved, paid, dispatched, delivered or cancelled
	From       string    `json:"from"`       // the service that is to tell it
	Since      time.Time `json:"since"`
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
