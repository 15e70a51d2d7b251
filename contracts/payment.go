package contracts

// PaymentProcessed is published when the total of an order has been captured.
type PaymentProcessed struct {
	OrderID   string `json:"orderId"`
	PaymentID string `json:"paymentId"` // the id of the payment intent at the card processor
	Amount    Money  `json:"amount"`
}

// PaymentFailed is published when the card was declined. Nothing was captured.
type PaymentFailed struct {
	OrderID string `json:"orderId"`
	Code    string `json:"code"` // the card processor's decline code
}

// PaymentRefunded is published when the whole captured amount has been refunded.
type PaymentRefunded struct {
	OrderID string `json:"orderId"`
	Amount  Money  `json:"amount"`
	Reason  string `json:"reason"`
}

// PaymentVoided is published when an order will never be charged. The order itself may still be unknown to the payment
// service then.
type PaymentVoided struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

// PaymentChargeRequested is a request of the payment service to itself: call the card processor to charge the order.
// Everything that the call needs is stored.
type PaymentChargeRequested struct {
	OrderID string `json:"orderId"`
}

// PaymentRefundRequested is a request of the payment service to itself: call the card processor to refund the order.
type PaymentRefundRequested struct {
	OrderID string `json:"orderId"`
}

func (PaymentProcessed) EventType() string       { return "payment.processed.v1" }
func (PaymentFailed) EventType() string          { return "payment.failed.v1" }
func (PaymentRefunded) EventType() string        { return "payment.refunded.v1" }
func (PaymentVoided) EventType() string          { return "payment.voided.v1" }
func (PaymentChargeRequested) EventType() string { return "payment.charge_requested.v1" }
func (PaymentRefundRequested) EventType() string { return "payment.refund_requested.v1" }

func (e PaymentProcessed) Subject() string       { return e.OrderID }
func (e PaymentFailed) Subject() string          { return e.OrderID }
func (e PaymentRefunded) Subject() string        { return e.OrderID }
func (e PaymentVoided) Subject() string          { return e.OrderID }
func (e PaymentChargeRequested) Subject() string { return e.OrderID }
func (e PaymentRefundRequested) Subject() string { return e.OrderID }
