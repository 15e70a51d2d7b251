package load

import (
	"fmt"
	"slices"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// story is what a customer does, and how the order may end.
type story struct {
	name       string
	outOfStock bool                                // orders a product without units
	change     func(req *stackclient.OrderRequest) // of a valid order
	cancels    bool                                // cancels within a second
	ends       []string                            // the expected outcomes; see toOutcome
}

// completed is the outcome of an order without problems.
const completed = contracts.OrderStateCompleted

var stories = []story{
	{name: "happy", ends: []string{completed}},
	{
		name: "declined", ends: []string{"cancelled: card_declined"},
		change: func(req *stackclient.OrderRequest) { req.PaymentMethod = stackclient.CardDeclined },
	},
	{name: "out-of-stock", ends: []string{"cancelled: out_of_stock"}, outOfStock: true},
	{
		name: "undeliverable", ends: []string{"cancelled: undeliverable"},
		change: func(req *stackclient.OrderRequest) { req.ShippingAddress.PostalCode = stackclient.Undeliverable },
	},
	// The cancellation may be too late.
	{name: "cancelled", ends: []string{"cancelled: customer", completed}, cancels: true},
}

// Names returns the names of all stories.
func Names() []string {
	names := make([]string, len(stories))
	for i, s := range stories {
		names[i] = s.name
	}
	return names
}

func findStory(name string) *story {
	i := slices.IndexFunc(stories, func(s story) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return &stories[i]
}

// toOutcome returns how an order ended, in a word or two.
func toOutcome(o stackclient.Order) string {
	if o.State == contracts.OrderStateCancelled && o.Reason != "" {
		return fmt.Sprintf("%s: %s", o.State, o.Reason)
	}
	return o.State
}
