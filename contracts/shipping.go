package contracts

// ShipmentCreated says that the carrier booked the parcel. It has not left yet.
type ShipmentCreated struct {
	OrderID    string `json:"orderId"`
	ShipmentID string `json:"shipmentId"` // the carrier's id
}

// ShipmentDispatched says that the parcel was handed over to the carrier: the stock has left.
type ShipmentDispatched struct {
	OrderID    string `json:"orderId"`
	ShipmentID string `json:"shipmentId"`
	Tracking   string `json:"tracking"`
}

// ShipmentDelivered says that the customer has the parcel.
type ShipmentDelivered struct {
	OrderID    string `json:"orderId"`
	ShipmentID string `json:"shipmentId"`
}

// ShipmentFailed says that the carrier will not deliver to the address.
type ShipmentFailed struct {
	OrderID string `json:"orderId"`
	Detail  string `json:"detail"`
}

// ShipmentCancelled says that no parcel will leave for this order. Whoever says so may know no more than the
// order's id.
type ShipmentCancelled struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

// Which fact made a cancellation too late.
const (
	BecauseDispatched = "dispatched"
	BecausePaid       = "paid"
)

// ShipmentCancelRefused says that a requested cancellation came too late, and which fact made it so.
type ShipmentCancelRefused struct {
	OrderID string `json:"orderId"`
	Because string `json:"because"` // dispatched or paid
}

// ShipmentBookingStarted is shipping's note to itself: the booking is decided and stored, now make it.
type ShipmentBookingRequested struct {
	OrderID string `json:"orderId"`
}

// ShipmentCancelStarted is shipping's note to itself: ask the carrier whether it is still in time.
type ShipmentCancellationRequested struct {
	OrderID string `json:"orderId"`
}

func (ShipmentCreated) EventType() string               { return "shipment.created.v1" }
func (ShipmentDispatched) EventType() string            { return "shipment.dispatched.v1" }
func (ShipmentDelivered) EventType() string             { return "shipment.delivered.v1" }
func (ShipmentFailed) EventType() string                { return "shipment.failed.v1" }
func (ShipmentCancelled) EventType() string             { return "shipment.cancelled.v1" }
func (ShipmentCancelRefused) EventType() string         { return "shipment.cancel_refused.v1" }
func (ShipmentBookingRequested) EventType() string      { return "shipment.booking_requested.v1" }
func (ShipmentCancellationRequested) EventType() string { return "shipment.cancellation_requested.v1" }

func (e ShipmentCreated) Subject() string               { return e.OrderID }
func (e ShipmentDispatched) Subject() string            { return e.OrderID }
func (e ShipmentDelivered) Subject() string             { return e.OrderID }
func (e ShipmentFailed) Subject() string                { return e.OrderID }
func (e ShipmentCancelled) Subject() string             { return e.OrderID }
func (e ShipmentCancelRefused) Subject() string         { return e.OrderID }
func (e ShipmentBookingRequested) Subject() string      { return e.OrderID }
func (e ShipmentCancellationRequested) Subject() string { return e.OrderID }
