package demo

import (
	"context"
	"net/url"
	"strings"
)

// charges are what the card processor did for one order, in minor units.
type charges struct {
	Captures           int
	Captured, Refunded int64
}

func (c *client) charges(ctx context.Context, orderID string) (sum charges, err error) {
	var snapshot struct {
		Intents []struct {
			Amount   int64 `json:"amount"`
			Captures int   `json:"captures"`
			Refunds  []struct {
				Amount int64 `json:"amount"`
			} `json:"refunds"`
		} `json:"paymentIntents"`
	}
	if err := c.Get(ctx, c.stack.Processor+"/ops/audit?order="+url.QueryEscape(orderID), &snapshot); err != nil {
		return sum, err
	}
	for _, i := range snapshot.Intents {
		sum.Captures += i.Captures
		sum.Captured += int64(i.Captures) * i.Amount
		for _, r := range i.Refunds {
			sum.Refunded += r.Amount
		}
	}
	return sum, nil
}

// parcels returns the states of an order's parcels at the carrier, or noParcel.
func (c *client) parcels(ctx context.Context, orderID string) (string, error) {
	var snapshot struct {
		Shipments []struct {
			State string `json:"state"`
		} `json:"shipments"`
	}
	if err := c.Get(ctx, c.stack.Carrier+"/ops/audit?order="+url.QueryEscape(orderID), &snapshot); err != nil {
		return "", err
	}
	var states []string
	for _, s := range snapshot.Shipments {
		states = append(states, s.State)
	}
	if len(states) == 0 {
		return noParcel, nil
	}
	return strings.Join(states, " and "), nil
}

const noParcel = "none"
