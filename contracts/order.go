package contracts

import "time"

// OrderCreated says that a customer placed an order, priced and complete. It carries everything that the other
// services need, so that nobody has to ask back.
type OrderCreated struct {
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
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"` // customer or deadline
}

// OrderCancelled says that the order has ended without a delivery.
type OrderCancelled struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

// OrderPaymentDeadlinePassed is scheduled when an order is placed and comes back to the order service itself.
type OrderPaymentDeadlinePassed struct {
	OrderID string `json:"orderId"`
}

// OrderConfirmed announces, once, that an order is paid for.
type OrderConfirmed struct {
	OrderID    string `json:"orderId"`
	CustomerID string `json:"customerId"`
	Total      Money  `json:"total"`
}

// OrderCompleted announces that an order was delivered.
type OrderCompleted struct {
	OrderID    string `json:"orderId"`
	CustomerID string `json:"customerId"`
	Total      Money  `json:"total"`
}

// OrderStalled announces that an order has waited for longer than it should. It may still go on; if it does and waits
// again, that is announced again.
type OrderStalled struct {
	OrderID   string    `json:"orderId"`
	State     string    `json:"state"`
	Missing   string    `json:"missing"`   // the fact: reserved, paid, booked, dispatched, delivered or cancelled
	WaitingOn string    `json:"waitingOn"` // the service that publishes it
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
