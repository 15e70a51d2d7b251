package model

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/quadrille-dev/quadrille/services/order"
)

// transition is the effect of one input on a service in one state.
type transition struct {
	service       int
	before, after string // labels
	input         string // a rule
	event         event  // empty for results of calls and for commands
	published     []event

	// Only for the order: the facts before, and those added or, after a "no longer", removed.
	known   order.Observed
	changes []string
}

// transitions returns the results of all rules that were run.
func (r *run) transitions() []transition {
	var all []transition
	for service, states := range r.steps {
		a := r.actors[service]
		for state, byMessage := range states {
			for l, s := range byMessage {
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
					seen.known = r.order.states[state].Order.Observed
					seen.changes = factChanges(seen.known, r.order.states[s.next].Order.Observed)
				}
				all = append(all, seen)
			}
		}
	}
	return all
}

// factChanges returns the facts that were added and removed.
func factChanges(before, after order.Observed) []string {
	was, is := factsOf(before), factsOf(after)
	var changes []string
	for _, f := range is {
		if !slices.Contains(was, f) {
			changes = append(changes, f)
		}
	}
	for _, f := range was {
		if !slices.Contains(is, f) {
			changes = append(changes, "no longer "+f)
		}
	}
	return changes
}

// facts are the names of all facts that an order can observe, in words: CustomerAsked is "customer asked".
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
