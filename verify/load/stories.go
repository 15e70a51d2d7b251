package load

import (
	"slices"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// story is one way in which a customer's order can go.
type story struct {
	name    string
	empty   bool                               // orders what is not there
	change  func(req *stackclient.OrderRequest) // of a good order
	cancels bool                               // within a second of being accepted
	ends    []string                           // as it may end; see outcomeOf
}

var stories = []story{
	{name: "happy", ends: []string{stackclient.Completed}},
	{
		name: "declined", ends: []string{"cancelled: card_declined"},
		change: func(req *stackclient.OrderRequest) { req.PaymentMethod = stackclient.Declines },
	},
	{name: "out-of-stock", ends: []string{"cancelled: out_of_stock"}, empty: true},
	{
		name: "undeliverable", ends: []string{"cancelled: undeliverable"},
		change: func(req *stackclient.OrderRequest) { req.ShippingAddress.PostalCode = stackclient.Undeliverable },
	},
	// Whether it comes in time is for the carrier to say.
	{name: "cancelled", ends: []string{"cancelled: customer", stackclient.Completed}, cancels: true},
}

// Names lists the stories that a mix can have.
func Names() []string {
	names := make([]string, len(stories))
	for i, s := range stories {
		names[i] = s.name
	}
	return names
}

func storyNamed(name string) *story {
	i := slices.IndexFunc(stories, func(s story) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return &stories[i]
}

// outcomeOf is how an order ended, in a word or two.
func outcomeOf(o stackclient.Order) string {
	if o.State == stackclient.Cancelled && o.Reason != "" {
		return o.State + ": " + o.Reason
	}
	return o.State
}
