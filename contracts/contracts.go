// Package contracts holds the events that the services exchange: one event transfer object (ETO) for each, grouped by
// the service that publishes it, and [Events], the list that declares them.
//
// An ETO is a struct of primitive fields, named in the past tense, that knows its type (which is also its routing key)
// and the id of the aggregate that it is about. The rules of a service take and return ETOs; what a service stores has
// types of its own. Fields may be added. They are never removed and never change their type: any other change is a new
// version of the event, with a new type.
//
// The package imports the standard library only, so that domain files may import it, and so that a consumer of these
// events needs no other dependency.
package contracts

// Money is an amount in minor units (cents) of an ISO 4217 currency.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Item is a quantity of one product in an order.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// Address is the destination of a parcel. Country is an ISO 3166-1 alpha-2 code.
type Address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode"`
	Country    string `json:"country"`
}

// ETO is an event transfer object. It is an alias of the same interface literal as events.ETO of package events, so the
// two are one type although this package imports nothing.
type ETO = interface {
	EventType() string // order.created.v1
	Subject() string   // the id of the order or the SKU of the product that the event is about
}

// Event declares who publishes an event and whether it is mandatory.
type Event struct {
	ETO       ETO
	Publisher string
	// Mandatory means that the event waits in the outbox until a queue is bound to it. An event that is not mandatory is
	// an announcement, which need not have a consumer.
	Mandatory bool
}

// Events lists every event of the project by publisher, as zero values.
var Events = []Event{
	{ETO: OrderCreated{}, Publisher: "order", Mandatory: true},
	{ETO: OrderCancelRequested{}, Publisher: "order", Mandatory: true},
	{ETO: OrderCancelled{}, Publisher: "order", Mandatory: true},
	{ETO: OrderPaymentDeadlinePassed{}, Publisher: "order", Mandatory: true},
	{ETO: OrderConfirmed{}, Publisher: "order"},
	{ETO: OrderCompleted{}, Publisher: "order"},
	{ETO: OrderStalled{}, Publisher: "order"},
	{ETO: InventoryReserved{}, Publisher: "inventory", Mandatory: true},
	{ETO: InventoryReservationFailed{}, Publisher: "inventory", Mandatory: true},
	{ETO: InventoryReleased{}, Publisher: "inventory", Mandatory: true},
	{ETO: ProductCreated{}, Publisher: "inventory", Mandatory: true},
	{ETO: ProductUpdated{}, Publisher: "inventory", Mandatory: true},
	{ETO: ProductDeleted{}, Publisher: "inventory", Mandatory: true},
	{ETO: PaymentProcessed{}, Publisher: "payment", Mandatory: true},
	{ETO: PaymentFailed{}, Publisher: "payment", Mandatory: true},
	{ETO: PaymentRefunded{}, Publisher: "payment", Mandatory: true},
	{ETO: PaymentVoided{}, Publisher: "payment", Mandatory: true},
	{ETO: PaymentChargeRequested{}, Publisher: "payment", Mandatory: true},
	{ETO: PaymentRefundRequested{}, Publisher: "payment", Mandatory: true},
	{ETO: ShipmentCreated{}, Publisher: "shipping", Mandatory: true},
	{ETO: ShipmentDispatched{}, Publisher: "shipping", Mandatory: true},
	{ETO: ShipmentDelivered{}, Publisher: "shipping", Mandatory: true},
	{ETO: ShipmentFailed{}, Publisher: "shipping", Mandatory: true},
	{ETO: ShipmentCancelled{}, Publisher: "shipping", Mandatory: true},
	{ETO: ShipmentCancelRefused{}, Publisher: "shipping", Mandatory: true},
	{ETO: ShipmentBookingRequested{}, Publisher: "shipping", Mandatory: true},
	{ETO: ShipmentCancellationRequested{}, Publisher: "shipping", Mandatory: true},
}
