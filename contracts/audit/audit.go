// Package audit declares the rows that the services list below "entries" of GET /ops/audit. The services write them and
// the reconciliation reads them. The part below "events" is declared by the events library.
package audit

import (
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
)

// Names of the lists below "entries".
const (
	Orders       = "orders"
	Products     = "products"
	Reservations = "reservations"
	Payments     = "payments"
	Shipments    = "shipments"
)

// Order is a row of the order service's list of all orders.
type Order struct {
	OrderID      string          `json:"orderId"`
	State        string          `json:"state"`
	Reason       string          `json:"reason,omitempty"` // for the cancellation
	Total        contracts.Money `json:"total"`
	PlacedAt     time.Time       `json:"placedAt"`
	WaitingSince time.Time       `json:"waitingSince,omitzero"`
	Missing      string          `json:"missing,omitempty"` // the fact that it waits for; empty once the order has ended
	StallsAt     time.Time       `json:"stallsAt,omitzero"` // when it will have waited for too long; zero once the order has ended
	Stalled      bool            `json:"stalled"`
}

// Product is a row of the inventory service's list of all products, including deleted ones. Every received piece is
// either on hand or has left with a committed reservation; some of the pieces on hand are reserved.
type Product struct {
	SKU      string `json:"sku"`
	Received int    `json:"received"`
	OnHand   int    `json:"onHand"`
	Reserved int    `json:"reserved"`
	Deleted  bool   `json:"deleted"`
}

// Reservation is a row of the inventory service's list of all reservations. Items is never null.
type Reservation struct {
	OrderID string           `json:"orderId"`
	State   string           `json:"state"`
	Items   []contracts.Item `json:"items"`
}

// Payment is a row of the payment service's list of all payments. Captured and Refunded are minor units of the currency
// of Amount.
type Payment struct {
	OrderID   string          `json:"orderId"`
	State     string          `json:"state"`
	Amount    contracts.Money `json:"amount"`
	Captured  int64           `json:"captured"`
	Refunded  int64           `json:"refunded"`
	PaymentID string          `json:"paymentId"` // the id of the payment intent at the card processor
}

// Shipment is a row of the shipping service's list of all shipments.
type Shipment struct {
	OrderID    string `json:"orderId"`
	State      string `json:"state"`
	ShipmentID string `json:"shipmentId"` // the carrier's id of the parcel
}
