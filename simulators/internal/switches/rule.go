package switches

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Action is what a rule does to the requests it matches.
type Action string

const (
	// Hold keeps the request waiting until the rule is removed or the client goes away. A client that goes away before
	// the effect prevents it. A move of the simulator's own is put off until the rule is removed.
	Hold Action = "hold"
	// Refuse cuts the connection without an answer.
	Refuse Action = "refuse"
	// Slow waits for the rule's delay and goes on.
	Slow Action = "slow"
	// Unavailable answers 503; nothing happens and nothing is saved under the request's idempotency key.
	Unavailable Action = "unavailable"
	// Error500 answers 500 without effect; the answer is saved under the request's idempotency key.
	Error500 Action = "error500"
	// Error500After answers 500 although the effect happened; the answer is saved under the idempotency key.
	Error500After Action = "error500_after"
	// Down closes the listener, and with it every open connection, until the rule is removed.
	Down Action = "down"
)

// When says on which side of a request's effect a rule acts.
type When string

const (
	Before When = "before" // the default
	After  When = "after"
)

// Match says which requests a rule is about.
type Match struct {
	// Operation is the simulator's name for what is asked of it or what it does. Empty: every incoming request, but no
	// webhook and no move.
	Operation string `json:"operation,omitempty"`
	// OrderID and Reference are two names for the order that the request is about. Empty: every order.
	OrderID   string `json:"orderId,omitempty"`
	Reference string `json:"reference,omitempty"`
}

func (m Match) order() string {
	if m.OrderID != "" {
		return m.OrderID
	}
	return m.Reference
}

// Spec is a rule as an operator writes it.
type Spec struct {
	Match  Match  `json:"match"`
	Action Action `json:"action"`
	// When is for hold, refuse and slow.
	When When `json:"when,omitempty"`
	// Times is how many requests the rule acts on; 0 is all of them until it is removed.
	Times int `json:"times"`
	// Delay is for slow.
	Delay Duration `json:"delay,omitempty"`
}

// Rule is a rule in force, and how often it acted.
type Rule struct {
	ID string `json:"id"`
	Spec
	Fired int `json:"fired"`
}

func (s Spec) validate(ops Operations) error {
	var mistakes []error
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }

	op := s.Match.Operation
	webhook, move := slices.Contains(ops.Outgoing, op), slices.Contains(ops.Moves, op)
	if op != "" && !webhook && !move && !slices.Contains(ops.Incoming, op) {
		mistake("match.operation %q is none of %s", op, strings.Join(slices.Concat(ops.Incoming, ops.Outgoing, ops.Moves), ", "))
	}
	if move && (s.Action != Hold || s.When != "" || s.Times != 0) {
		mistake("%s is the simulator's own move: it can be held, without when and times", op)
	}
	if s.Match.OrderID != "" && s.Match.Reference != "" {
		mistake("match.orderId and match.reference are the same thing: give one")
	}
	switch s.When {
	case "", Before, After:
	default:
		mistake("when %q is neither before nor after", s.When)
	}
	switch s.Action {
	case Hold, Refuse, Slow:
	case Unavailable, Error500, Error500After:
		if webhook {
			mistake("action %s is for incoming requests; a webhook can be held, refused and slowed", s.Action)
		}
		if s.When != "" {
			mistake("action %s has no when", s.Action)
		}
	case Down:
		if s.Match != (Match{}) || s.When != "" || s.Times != 0 {
			mistake("action down concerns the whole listener: no match, no when, no times")
		}
	default:
		mistake("action %q is unknown", s.Action)
	}
	if s.Times < 0 {
		mistake("times is negative")
	}
	if (s.Action == Slow) != (s.Delay > 0) {
		mistake("delay is for the action slow, which needs one")
	}
	return errors.Join(mistakes...)
}

func (s Spec) matches(r Request, when When, incoming []string) bool {
	if op := s.Match.Operation; op != r.Operation && (op != "" || !slices.Contains(incoming, r.Operation)) {
		return false
	}
	if order := s.Match.order(); order != "" && order != r.Order {
		return false
	}
	switch s.Action {
	case Down:
		return false
	case Error500, Error500After:
		// They take the place of an execution, and a replay executes nothing.
		return when == Before && !r.Replay
	default:
		return (when == After) == (s.When == After)
	}
}

// Duration is written like "1.5s".
type Duration time.Duration

// MarshalText is the duration as time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
