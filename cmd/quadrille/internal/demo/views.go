package demo

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// What the shop answers, as far as the stories look at it.

type money struct {
	Amount   int64  `json:"amount"` // minor units
	Currency string `json:"currency"`
}

type (
	item struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	address struct {
		Name       string `json:"name"`
		Street     string `json:"street"`
		City       string `json:"city"`
		PostalCode string `json:"postalCode"`
		Country    string `json:"country"`
	}
	orderRequest struct {
		CustomerID      string  `json:"customerId"`
		Items           []item  `json:"items"`
		ShippingAddress address `json:"shippingAddress"`
		PaymentMethod   string  `json:"paymentMethod"`
	}
)

type (
	orderView struct {
		ID      string  `json:"id"`
		State   string  `json:"state"`
		Reason  string  `json:"reason"`
		Message string  `json:"message"`
		Total   money   `json:"total"`
		History []entry `json:"history"` // oldest first

		Shipment struct {
			Tracking string `json:"tracking"`
		} `json:"shipment"`
	}
	entry struct {
		At    time.Time `json:"at"`
		Event string    `json:"event"`
		What  string    `json:"what"`
	}
)

// The states of an order.
const (
	pending    = "pending"
	reserved   = "reserved"
	paid       = "paid"
	shipped    = "shipped"
	completed  = "completed"
	cancelling = "cancelling"
	cancelled  = "cancelled"
)

func (o orderView) ended() bool { return o.State == completed || o.State == cancelled }

type product struct {
	OnHand   int `json:"onHand"`
	Reserved int `json:"reserved"`
}

// till is what the processor did for one order.
type till struct {
	Captures           int
	Captured, Refunded int64
}

func (c *client) till(ctx context.Context, order string) (t till, err error) {
	var books struct {
		Intents []struct {
			Amount   int64 `json:"amount"`
			Captures int   `json:"captures"`
			Refunds  []struct {
				Amount int64 `json:"amount"`
			} `json:"refunds"`
		} `json:"paymentIntents"`
	}
	if err := c.get(ctx, c.shop.Processor+"/ops/books?order="+url.QueryEscape(order), &books); err != nil {
		return t, err
	}
	for _, i := range books.Intents {
		t.Captures += i.Captures
		t.Captured += int64(i.Captures) * i.Amount
		for _, r := range i.Refunds {
			t.Refunded += r.Amount
		}
	}
	return t, nil
}

// parcels says what the carrier did for one order: the states of its parcels, or none.
func (c *client) parcels(ctx context.Context, order string) (string, error) {
	var books struct {
		Shipments []struct {
			State string `json:"state"`
		} `json:"shipments"`
	}
	if err := c.get(ctx, c.shop.Carrier+"/ops/books?order="+url.QueryEscape(order), &books); err != nil {
		return "", err
	}
	var states []string
	for _, s := range books.Shipments {
		states = append(states, s.State)
	}
	if len(states) == 0 {
		return noParcel, nil
	}
	return strings.Join(states, " and "), nil
}

const noParcel = "none"

func (c *client) order(ctx context.Context, id string) (o orderView, err error) {
	return o, c.get(ctx, c.shop.Order+"/api/v1/orders/"+id, &o)
}

func (c *client) product(ctx context.Context, sku string) (p product, err error) {
	return p, c.get(ctx, c.shop.Inventory+"/api/v1/products/"+sku, &p)
}

// String is the amount for people; the demo sells in currencies with two digits only.
func (m money) String() string {
	return fmt.Sprintf("%d.%02d %s", m.Amount/100, m.Amount%100, m.Currency)
}
