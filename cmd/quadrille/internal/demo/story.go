package demo

import (
	"context"
	"fmt"
	"strings"

	"github.com/quadrille-dev/quadrille/services/order"
)

// Story is one thing that can happen to an order.
type Story struct {
	Name     string // as in --story
	Title    string
	About    string // what will happen, and why that is interesting
	Takeaway string // why nothing was lost and nothing happened twice
	Kills    bool   // it needs a stack that can be killed
	run      func(ctx context.Context, r *runner) error
	expect   expectation
}

// expectation is how an order must end, and the traces that it must leave everywhere.
type expectation struct {
	state    order.State
	reason   order.Reason
	message  string // part of the message to the customer
	captures int    // at the card processor
	kept     bool   // the money is kept; otherwise all of it is refunded
	parcel   string // at the carrier
	sold     int    // units that have left the stock
}

// Stories are all stories, in the order in which they run.
var Stories = []Story{
	completedOrder, outOfStock, declinedCard, undeliverable, cancelledInTime, cancelledTooLate, processorUnavailable,
	duplicateRequests, killedStack,
}

// Names returns the names of all stories.
func Names() []string {
	names := make([]string, len(Stories))
	for i, s := range Stories {
		names[i] = s.Name
	}
	return names
}

// Pick returns the stories with these names in the order of Stories, or all stories if there are no names.
func Pick(names ...string) ([]Story, error) {
	if len(names) == 0 {
		return Stories, nil
	}
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	var picked []Story
	for _, s := range Stories {
		if wanted[s.Name] {
			picked = append(picked, s)
			delete(wanted, s.Name)
		}
	}
	for _, name := range names {
		if wanted[name] {
			return nil, fmt.Errorf("unknown story %q; the stories are %s", name, strings.Join(Names(), ", "))
		}
	}
	return picked, nil
}
