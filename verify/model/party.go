package model

import (
	"encoding/json"
	"fmt"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// event is what travels: the type, and the one detail of the data that a rule may look at.
type event struct {
	Type   string // order.cancel_requested.v1
	Detail string // customer
}

// Circumstances are what the outside world will say to an order. They are the same throughout a run.
type Circumstances struct {
	StockShort    bool // there is less on the shelf than the order wants
	CardDeclined  bool
	Undeliverable bool // the carrier does not go there
}

// A party is one service as the model sees it: S is what it keeps about the order, F what its rules answer.
type party[S any, F ~string] struct {
	name  string
	hears []events.Subscription
	start func(Circumstances) S
	label func(*S) string // the state in a reader's words

	// rules has an entry for every reaction that only reacts, by its name in the subscriptions, for every answer from
	// outside and for whatever else may happen to the service. Nil says that no rule looks at it.
	rules map[string]rule[S, F]
	// calls has the other reactions: they talk to the outside world first, and its answer is the name of a rule.
	calls map[string]call[S]
	// tells is how a fact is told to the others.
	tells map[F]func(*S) event
	// note, if set, keeps count of what a claim asks about.
	note func(*S, []F)
}

type (
	rule[S any, F ~string] func(*S, event) []F

	call[S any] struct {
		wanted func(*S) bool                               // looks at the state first, as the service does
		make   func(*world, Circumstances) (answer string) // has its effect on the world at once
	}
)

// whatever makes a rule of one that looks at no detail of the event.
func whatever[S any, F ~string](f func(*S) []F) rule[S, F] {
	return func(s *S, _ event) []F { return f(s) }
}

// eto is the part of contracts.Event that matters here.
type eto interface{ EventType() string }

// plain tells a fact by an event without details.
func plain[S any](e eto) func(*S) event { return detailed[S](e, "") }

// detailed tells a fact by an event with a detail that is always the same.
func detailed[S any](e eto, detail string) func(*S) event {
	told := event{Type: e.EventType(), Detail: detail}
	return func(*S) event { return told }
}

// machine runs a party's rules. It numbers the states that it meets, so that a state of the world is a few bytes and
// no rule is asked the same twice.
type machine[S any, F ~string] struct {
	party[S, F]
	states []S
	number map[string]uint16
}

// actor is a machine of any party.
type actor interface {
	begin(Circumstances) (state uint16, err error)
	// react applies the rule called input.
	react(state uint16, input string, e event) (next uint16, told []event, err error)
	// calling answers the call that a reaction makes, nil if it makes none.
	calling(reaction string) func(*world, Circumstances) string
	wanted(state uint16, reaction string) bool
	subscriptions() []events.Subscription
	title() string
	describe(state uint16) string
}

func newMachine[S any, F ~string](p party[S, F]) *machine[S, F] {
	return &machine[S, F]{party: p, number: map[string]uint16{}}
}

func (m *machine[S, F]) title() string                        { return m.name }
func (m *machine[S, F]) subscriptions() []events.Subscription { return m.hears }
func (m *machine[S, F]) describe(state uint16) string         { return m.label(&m.states[state]) }

func (m *machine[S, F]) begin(c Circumstances) (uint16, error) { return m.numberOf(m.start(c)) }

func (m *machine[S, F]) calling(reaction string) func(*world, Circumstances) string {
	return m.calls[reaction].make
}

func (m *machine[S, F]) wanted(state uint16, reaction string) bool {
	s := m.states[state]
	return m.calls[reaction].wanted(&s)
}

func (m *machine[S, F]) react(state uint16, input string, e event) (uint16, []event, error) {
	r, known := m.rules[input]
	if !known {
		return 0, nil, fmt.Errorf("%s has no rule for %q", m.name, input)
	}
	if r == nil {
		return state, nil, nil
	}
	s := m.states[state]
	facts := r(&s, e)
	if m.note != nil {
		m.note(&s, facts)
	}
	told := make([]event, len(facts))
	for i, f := range facts {
		tell := m.tells[f]
		if tell == nil {
			return 0, nil, fmt.Errorf("%s has no event for %q", m.name, f)
		}
		told[i] = tell(&s)
	}
	next, err := m.numberOf(s)
	return next, told, err
}

// numberOf finds a state by its JSON, which follows pointers; all its fields are exported.
func (m *machine[S, F]) numberOf(s S) (uint16, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return 0, fmt.Errorf("state of %s: %w", m.name, err)
	}
	n, known := m.number[string(b)]
	if !known {
		n = uint16(len(m.states))
		m.states, m.number[string(b)] = append(m.states, s), n
	}
	return n, nil
}
