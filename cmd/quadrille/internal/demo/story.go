package demo

import (
	"context"
	"fmt"
	"strings"
)

// Story is one thing that can happen to an order.
type Story struct {
	Name   string // as in --story
	Title  string
	About  string // what will happen, and why that is interesting
	Moral  string // why nothing was lost and nothing done twice
	Kills  bool   // it needs a shop that can be killed
	play   func(ctx context.Context, s *stage) error
	expect ending
}

// ending is how an order must end, and what must be left of it everywhere.
type ending struct {
	state, reason string
	says          string // part of the customer's message
	captures      int    // at the processor
	kept          bool   // the money; else all of it is given back
	parcel        string // at the carrier
	sold          int    // pieces that have left the shelf
}

// Stories are all of them, in the order in which they are best told.
var Stories = []Story{
	happy, outOfStock, declinedCard, undeliverable, changedMind, tooLate, processorAway, twice, killed,
}

// Names lists the stories.
func Names() []string {
	names := make([]string, len(Stories))
	for i, s := range Stories {
		names[i] = s.Name
	}
	return names
}

// Pick finds stories by name, in their own order; no names are all of them.
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
			return nil, fmt.Errorf("no story is called %q; there are %s", name, strings.Join(Names(), ", "))
		}
	}
	return picked, nil
}
