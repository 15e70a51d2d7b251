package stackclient

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
)

// Money is an amount in minor units.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// String returns the amount for people, in a currency with two digits.
func (m Money) String() string {
	return fmt.Sprintf("%d.%02d %s", m.Amount/100, m.Amount%100, m.Currency)
}

type (
	// OrderRequest is the request of a customer.
	OrderRequest struct {
		CustomerID      string  `json:"customerId"`
		Items           []Item  `json:"items"`
		ShippingAddress Address `json:"shippingAddress"`
		PaymentMethod   string  `json:"paymentMethod"`
	}
	// Item is a line of an order.
	Item struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	// Address is where the parcel goes.
	Address struct {
		Name       string `json:"name"`
		Street     string `json:"street"`
		City       string `json:"city"`
		PostalCode string `json:"postalCode"`
		Country    string `json:"country"`
	}
)

// Payment methods of Stripe's test mode.
const (
	CardAccepted = "pm_card_visa"
	CardDeclined = "pm_card_chargeDeclined"
)

// Undeliverable is a postal code to which the carrier does not deliver.
const Undeliverable = "00000"

// ValidOrder returns an order with a card that is accepted and an address that exists.
func ValidOrder(customer string, items ...Item) OrderRequest {
	return OrderRequest{
		CustomerID: customer, Items: items, PaymentMethod: CardAccepted,
		ShippingAddress: Address{"Ada", "1 Ball Street", "Vienna", "1010", "AT"},
	}
}

type (
	// Order is the response of the order service, as far as it is used here.
	Order struct {
		ID      string         `json:"id"`
		State   string         `json:"state"`
		Reason  string         `json:"reason"`
		Message string         `json:"message"`
		Total   Money          `json:"total"`
		History []HistoryEntry `json:"history"` // oldest first; lists leave it out

		Shipment struct {
			Tracking string `json:"tracking"`
		} `json:"shipment"`
	}
	// HistoryEntry is an entry of the order's history.
	HistoryEntry struct {
		At          time.Time `json:"at"`
		Event       string    `json:"event"`
		Description string    `json:"description"`
	}
)

// Ended reports whether the order is in a final state.
func (o Order) Ended() bool {
	return (o.State == contracts.OrderStateCompleted || o.State == contracts.OrderStateCancelled)
}

// Place sends an order once. A second request with the same key returns the same order.
func (c *Client) Place(ctx context.Context, req OrderRequest, key string) (Response, error) {
	return c.Do(ctx, http.MethodPost, c.stack.Order+"/api/v1/orders", req, "Idempotency-Key", key)
}

// Cancel requests the cancellation of an order.
func (c *Client) Cancel(ctx context.Context, id string) (Response, error) {
	return c.Do(ctx, http.MethodPost, c.stack.Order+"/api/v1/orders/"+id+"/cancel", nil)
}

// Order returns one order.
func (c *Client) Order(ctx context.Context, id string) (o Order, err error) {
	return o, c.Get(ctx, c.stack.Order+"/api/v1/orders/"+id, &o)
}

// OrdersPage is the highest number of orders that Orders returns.
const OrdersPage = 100

// Orders returns a customer's newest orders, without their history.
func (c *Client) Orders(ctx context.Context, customer string) ([]Order, error) {
	var list struct {
		Items []Order `json:"items"`
	}
	query := fmt.Sprintf("?customerId=%s&limit=%d", url.QueryEscape(customer), OrdersPage)
	err := c.Get(ctx, c.stack.Order+"/api/v1/orders"+query, &list)
	return list.Items, err
}
