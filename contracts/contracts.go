// Package contracts holds the shop's published language: one event transfer object (ETO) for every event,
// grouped by the service that publishes it.
//
// An ETO is a past-tense struct of primitive fields that names itself: its type (also the routing key), its
// publisher, the aggregate it is about, and its audience. It exists between services only; a reaction turns it
// into the service's own types at once. Fields are added, never removed and never given another type; anything
// else is a new version with a new type.
//
// The audience says what the outbox does when no queue is bound to an event: a required event waits for its
// reader, an open one is an announcement that may go unheard.
//
// The package imports the standard library only, so that anyone can read these events without taking the rest.
package contracts

// Money is an amount in minor units (cents) of an ISO 4217 currency.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Item is a quantity of one product.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// Address is where a parcel goes. Country is ISO 3166-1 alpha-2.
type Address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode"`
	Country    string `json:"country"`
}

// Embedded in an ETO, these two say what becomes of it when no queue is bound.
type (
	required struct{}
	open     struct{}
)

func (required) Audience() string { return "required" }
func (open) Audience() string     { return "open" }

// Embedded in an ETO, one of these names the publishing service.
type (
	byOrder     struct{}
	byInventory struct{}
	byPayment   struct{}
	byShipping  struct{}
)

func (byOrder) Publisher() string     { return "order" }
func (byInventory) Publisher() string { return "inventory" }
func (byPayment) Publisher() string   { return "payment" }
func (byShipping) Publisher() string  { return "shipping" }

// Event is what every ETO here can say about itself.
type Event interface {
	EventType() string // order.created.v1
	Publisher() string // order
	Subject() string   // the id of the order or product it is about
	Audience() string  // required or open
}

// All lists every event of the shop, as zero values, by publisher.
func All() []Event {
	return []Event{
		OrderCreated{},
		OrderCancelRequested{},
		OrderCancelled{},
		OrderPaymentDeadlinePassed{},
		OrderConfirmed{},
		OrderCompleted{},
		OrderStalled{},
		InventoryReserved{},
		InventoryReservationFailed{},
		InventoryReleased{},
		ProductCreated{},
		ProductUpdated{},
		ProductDeleted{},
		PaymentProcessed{},
		PaymentFailed{},
		PaymentRefunded{},
		PaymentVoided{},
		PaymentChargeStarted{},
		PaymentRefundStarted{},
		ShipmentCreated{},
		ShipmentDispatched{},
		ShipmentDelivered{},
		ShipmentFailed{},
		ShipmentCancelled{},
		ShipmentCancelRefused{},
		ShipmentBookingStarted{},
		ShipmentCancelStarted{},
	}
}
