package model

import (
	"encoding/json"
	"fmt"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// event is an event on its way: its type, and the one field of its data that a rule may look at. It is comparable,
// unlike some ETOs.
type event struct {
	Type   string // order.cancel_requested.v1
	Detail string // customer
}

// toEvent returns the event of an ETO.
func toEvent(eto contracts.ETO) event {
	e := event{Type: eto.EventType()}
	switch eto := eto.(type) {
	case contracts.OrderCancelRequested:
		e.Detail = eto.Reason
	case contracts.OrderCancelled:
		e.Detail = eto.Reason
	case contracts.PaymentRefunded:
		e.Detail = eto.Reason
	case contracts.PaymentVoided:
		e.Detail = eto.Reason
	case contracts.ShipmentCancelled:
		e.Detail = eto.Reason
	case contracts.ShipmentCancelRefused:
		e.Detail = eto.Because
	}
	return e
}

// toETO returns an ETO with the event's detail. Fields that no decision depends on are left out, so that they do not
// multiply the states.
func toETO[T contracts.ETO](e event) T {
	var eto T
	switch eto := any(&eto).(type) {
	case *contracts.OrderCreated:
		eto.PaymentMethod = "card"
	case *contracts.OrderCancelRequested:
		eto.Reason = e.Detail
	case *contracts.OrderCancelled:
		eto.Reason = e.Detail
	case *contracts.PaymentRefunded:
		eto.Reason = e.Detail
	case *contracts.PaymentVoided:
		eto.Reason = e.Detail
	case *contracts.ShipmentCancelled:
		eto.Reason = e.Detail
	case *contracts.ShipmentCancelRefused:
		eto.Because = e.Detail
	}
	return eto
}

// Circumstances are the conditions under which an order is placed. They stay the same throughout a run.
type Circumstances struct {
	StockShort    bool // the stock is smaller than the order
	CardDeclined  bool
	Undeliverable bool // the carrier does not deliver to the address
}

// process is one service in the model. S is what the service stores about the order.
type process[S any] struct {
	name          string
	subscriptions []events.Subscription
	start         func(Circumstances) S
	label         func(*S) string // the state, as the tables show it

	// rules has an entry for every handler without a call, by its name in the subscriptions, for every result of a call
	// and for every command. Nil means that no rule looks at it.
	rules map[string]rule[S]
	// calls has an entry for every handler with a call. The result of a call is the name of a rule.
	calls map[string]call[S]
	// note, if set, counts what the invariants need.
	note func(*S, []contracts.ETO)
}

type (
	rule[S any] func(*S, event) []contracts.ETO

	call[S any] struct {
		wanted func(*S) bool                               // reads the state first, as the service does
		make   func(*state, Circumstances) (result string) // takes effect at once
	}
)

// on returns the rule that applies a rule of the domain to its event.
func on[S any, T contracts.ETO](f func(*S, T) []contracts.ETO) rule[S] {
	return func(s *S, e event) []contracts.ETO { return f(s, toETO[T](e)) }
}

// machine runs the rules of a process. It numbers the states that it meets, so that a state of the model is a few bytes
// and every rule runs once for each state.
type machine[S any] struct {
	process[S]
	states []S
	number map[string]uint16
}

// actor is a machine of any process.
type actor interface {
	begin(c Circumstances) (state uint16, err error)
	// apply runs the rule called input.
	apply(state uint16, input string, e event) (next uint16, published []event, err error)
	// calling returns the call that a handler makes, or nil.
	calling(handler string) func(*state, Circumstances) string
	wanted(state uint16, handler string) bool
	subscribed() []events.Subscription
	title() string
	describe(state uint16) string
}

func newMachine[S any](p process[S]) *machine[S] {
	return &machine[S]{process: p, number: map[string]uint16{}}
}

func (m *machine[S]) title() string                     { return m.name }
func (m *machine[S]) subscribed() []events.Subscription { return m.subscriptions }
func (m *machine[S]) describe(state uint16) string      { return m.label(&m.states[state]) }

func (m *machine[S]) begin(c Circumstances) (uint16, error) { return m.numberOf(m.start(c)) }

func (m *machine[S]) calling(handler string) func(*state, Circumstances) string {
	return m.calls[handler].make
}

func (m *machine[S]) wanted(state uint16, handler string) bool {
	s := m.states[state]
	return m.calls[handler].wanted(&s)
}

func (m *machine[S]) apply(state uint16, input string, e event) (uint16, []event, error) {
	r, known := m.rules[input]
	if !known {
		return 0, nil, fmt.Errorf("%s has no rule for %q", m.name, input)
	}
	if r == nil {
		return state, nil, nil
	}
	s := m.states[state]
	etos := r(&s, e)
	if m.note != nil {
		m.note(&s, etos)
	}
	published := make([]event, len(etos))
	for i, eto := range etos {
		published[i] = toEvent(eto)
	}
	next, err := m.numberOf(s)
	return next, published, err
}

// numberOf identifies a state by its JSON, which follows pointers. All fields of a state are exported.
func (m *machine[S]) numberOf(s S) (uint16, error) {
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
