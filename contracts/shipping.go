package contracts

// ShipmentCreated is published when the carrier has booked the parcel. The parcel has not left yet.
type ShipmentCreated struct {
	OrderID    string `json:"orderId"`
	ShipmentID string `json:"shipmentId"` // the carrier's id of the parcel
}

// ShipmentDispatched is published when the carrier has taken the parcel. The stock has left.
type ShipmentDispatched struct {
	OrderID    string `json:"orderId"`
	ShipmentID string `json:"shipmentId"`
	Tracking   string `json:"tracking"`
}

// ShipmentDelivered is published when the customer has received the parcel.
type ShipmentDelivered struct {
	OrderID    string `json:"orderId"`
	ShipmentID string `json:"shipmentId"`
}

// ShipmentFailed is published when the carrier does not deliver to the address.
type ShipmentFailed struct {
	OrderID string `json:"orderId"`
	Detail  string `json:"detail"`
}

// ShipmentCancelled is published when no parcel will leave for an order. The order itself may still be unknown to the
// shipping service then.
type ShipmentCancelled struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

// Facts that make a cancellation too late.
const (
	BecauseDispatched = "dispatched"
	BecausePaid       = "paid"
)

// ShipmentCancelRefused is published when a requested cancellation came too late. Because is the fact that made it so.
type ShipmentCancelRefused struct {
	OrderID string `json:"orderId"`
	Because string `json:"because"` // BecauseDispatched or BecausePaid
}

// ShipmentBookingRequested is a request of the shipping service to itself: call the carrier to book the parcel.
type ShipmentBookingRequested struct {
	OrderID string `json:"orderId"`
}

// ShipmentCancellationRequested is a request of the shipping service to itself: ask the carrier to cancel the parcel.
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
