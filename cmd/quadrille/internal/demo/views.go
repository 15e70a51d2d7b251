package demo

import (
	"context"
	"net/url"
	"strings"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// The states of an order.
const (
	pending    = "pending"
	reserved   = "reserved"
	paid       = "paid"
	shipped    = "shipped"
	completed  = stackclient.Completed
	cancelling = "cancelling"
	cancelled  = stackclient.Cancelled
)

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
	if err := c.Get(ctx, c.shop.Processor+"/ops/audit?order="+url.QueryEscape(order), &books); err != nil {
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
	if err := c.Get(ctx, c.shop.Carrier+"/ops/audit?order="+url.QueryEscape(order), &books); err != nil {
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
