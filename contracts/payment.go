package contracts

// PaymentProcessed says that the order's total was captured.
type PaymentProcessed struct {
	OrderID   string `json:"orderId"`
	PaymentID string `json:"paymentId"` // the processor's id
	Amount    Money  `json:"amount"`
}

// PaymentFailed says that the card was declined and nothing was captured.
type PaymentFailed struct {
	OrderID string `json:"orderId"`
	Code    string `json:"code"` // the processor's decline code
}

// PaymentRefunded says that everything captured was given back.
type PaymentRefunded struct {
	OrderID string `json:"orderId"`
	Amount  Money  `json:"amount"`
	Reason  string `json:"reason"`
}

// PaymentVoided says that the order will never be charged. Whoever says so may know no more than the order's id.
type PaymentVoided struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

// PaymentChargeStarted is payment's note to itself: everything needed for the charge is stored, now make it.
type PaymentChargeRequested struct {
	OrderID string `json:"orderId"`
}

// PaymentRefundStarted is payment's note to itself: the refund is decided and stored, now make it.
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
