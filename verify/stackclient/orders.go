package stackclient

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Money is an amount in minor units.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// String is the amount for people, in a currency with two digits.
func (m Money) String() string {
	return fmt.Sprintf("%d.%02d %s", m.Amount/100, m.Amount%100, m.Currency)
}

// What a customer sends.
type (
	OrderRequest struct {
		CustomerID      string  `json:"customerId"`
		Items           []Item  `json:"items"`
		ShippingAddress Address `json:"shippingAddress"`
		PaymentMethod   string  `json:"paymentMethod"`
	}
	Item struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	Address struct {
		Name       string `json:"name"`
		Street     string `json:"street"`
		City       string `json:"city"`
		PostalCode string `json:"postalCode"`
		Country    string `json:"country"`
	}
)

// Payment methods, as Stripe's test mode knows them.
const (
	Pays     = "pm_card_visa"
	Declines = "pm_card_chargeDeclined"
)

// Undeliverable is a postal code that the carrier knows nothing of.
const Undeliverable = "00000"

// GoodOrder has a card that pays and an address that exists.
func GoodOrder(customer string, items ...Item) OrderRequest {
	return OrderRequest{
		CustomerID: customer, Items: items, PaymentMethod: Pays,
		ShippingAddress: Address{"Ada", "1 Ball Street", "Vienna", "1010", "AT"},
	}
}

// What the order service answers, as far as anybody here looks at it.
type (
	Order struct {
		ID      string  `json:"id"`
		State   string  `json:"state"`
		Reason  string  `json:"reason"`
		Message string  `json:"message"`
		Total   Money   `json:"total"`
		History []Entry `json:"history"` // oldest first; lists leave it out

		Shipment struct {
			Tracking string `json:"tracking"`
		} `json:"shipment"`
	}
	Entry struct {
		At    time.Time `json:"at"`
		Event string    `json:"event"`
		What  string    `json:"description"`
	}
)

// The states in which an order ends.
const (
	Completed = "completed"
	Cancelled = "cancelled"
)

// Ended says whether nothing more will happen to the order.
func (o Order) Ended() bool { return o.State == Completed || o.State == Cancelled }

// Place sends an order once. Sent again under the same key, it is the same order.
func (c *Client) Place(ctx context.Context, req OrderRequest, key string) (Answer, error) {
	return c.Do(ctx, http.MethodPost, c.shop.Order+"/api/v1/orders", req, "Idempotency-Key", key)
}

// Cancel asks for an order to be cancelled.
func (c *Client) Cancel(ctx context.Context, id string) (Answer, error) {
	return c.Do(ctx, http.MethodPost, c.shop.Order+"/api/v1/orders/"+id+"/cancel", nil)
}

// Order reads one order.
func (c *Client) Order(ctx context.Context, id string) (o Order, err error) {
	return o, c.Get(ctx, c.shop.Order+"/api/v1/orders/"+id, &o)
}

// OrdersPage is how many orders OrdersOf answers at most.
const OrdersPage = 100

// OrdersOf lists a customer's newest orders, without their history.
func (c *Client) OrdersOf(ctx context.Context, customer string) ([]Order, error) {
	var list struct {
		Items []Order `json:"items"`
	}
	query := fmt.Sprintf("?customerId=%s&limit=%d", url.QueryEscape(customer), OrdersPage)
	err := c.Get(ctx, c.shop.Order+"/api/v1/orders"+query, &list)
	return list.Items, err
}
