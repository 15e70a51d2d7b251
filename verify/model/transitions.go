package model

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/quadrille-dev/quadrille/services/order"
)

// transition is something that a service was seen to do.
type transition struct {
	service       int
	before, after string // as labelled
	input         string // a rule
	event         event  // empty for answers and cancelRequests
	published     []event

	// Of the order only: what it knew, and which facts it has learnt or, after a "no longer", given up.
	knew  order.Observed
	noted []string
}

// transitions lists everything that was asked of the rules.
func (r *run) transitions() []transition {
	var all []transition
	for service, states := range r.steps {
		a := r.actors[service]
		for state, byLetter := range states {
			for l, s := range byLetter {
				if s == nil || s.calls != nil {
					continue
				}
				seen := transition{
					service: service, before: a.describe(uint16(state)), after: a.describe(s.next),
					input: r.messages[l].input, event: r.messages[l].event,
				}
				for _, e := range s.published {
					seen.published = append(seen.published, r.events[e])
				}
				if service == atOrder {
					seen.knew = r.order.states[state].Order.Observed
					seen.noted = learnt(seen.knew, r.order.states[s.next].Order.Observed)
				}
				all = append(all, seen)
			}
		}
	}
	return all
}

// learnt compares two sets of facts.
func learnt(before, after order.Observed) []string {
	was, is := factsOf(before), factsOf(after)
	var noted []string
	for _, f := range is {
		if !slices.Contains(was, f) {
			noted = append(noted, f)
		}
	}
	for _, f := range was {
		if !slices.Contains(is, f) {
			noted = append(noted, "no longer "+f)
		}
	}
	return noted
}

// facts are the names of all that an order can know, in words: CustomerAsked is "customer asked".
var facts = func() []string {
	var names []string
	for f := range reflect.TypeFor[order.Observed]().Fields() {
		names = append(names, inWords(f.Name))
	}
	return names
}()

func factsOf(seen order.Observed) []string {
	var set []string
	v := reflect.ValueOf(seen)
	for i, name := range facts {
		if v.Field(i).Bool() {
			set = append(set, name)
		}
	}
	return set
}

func byFact(a, b string) int { return cmp.Compare(slices.Index(facts, a), slices.Index(facts, b)) }

func inWords(field string) string {
	var words strings.Builder
	for i, c := range field {
		if unicode.IsUpper(c) && i > 0 {
			words.WriteByte(' ')
		}
		words.WriteRune(unicode.ToLower(c))
	}
	return words.String()
}
