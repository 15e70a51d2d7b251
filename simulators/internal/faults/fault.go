package faults

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Action is what a fault does to the requests that it matches.
type Action string

// The actions of a fault.
const (
	// Pause blocks the request until the fault is removed or the client disconnects. A client that disconnects before
	// the effect prevents it. A transition of the simulator is put off until the fault is removed.
	Pause Action = "pause"
	// Drop closes the connection without a response.
	Drop Action = "drop"
	// Delay blocks the request for the delay of the fault.
	Delay Action = "delay"
	// Nonsense responds with 200 and a page that is not of the API.
	Nonsense Action = "nonsense"
	// Unavailable responds with 503. The request has no effect, and its idempotency key saves no response.
	Unavailable Action = "unavailable"
	// Error500 responds with 500. The request has no effect, and its idempotency key saves the response.
	Error500 Action = "error500"
	// Error500After responds with 500 after the effect. The idempotency key of the request saves the response.
	Error500After Action = "error500_after"
	// Down closes the listener and every open connection until the fault is removed.
	Down Action = "down"
)

// When is the side of a request's effect on which a fault acts.
type When string

// The sides of the effect. Before is the default.
const (
	Before When = "before"
	After  When = "after"
)

// Match selects the requests on which a fault acts.
type Match struct {
	// Operation is an operation of the simulator. Empty matches every API request, but no webhook and no transition.
	Operation string `json:"operation,omitempty"`
	// OrderID and Reference are two names for the order to which the request belongs. Empty matches every order.
	OrderID   string `json:"orderId,omitempty"`
	Reference string `json:"reference,omitempty"`
}

func (m Match) order() string {
	if m.OrderID != "" {
		return m.OrderID
	}
	return m.Reference
}

// Fault is a fault as an operator defines it.
type Fault struct {
	Match  Match  `json:"match"`
	Action Action `json:"action"`
	// When applies to pause, drop, delay and nonsense.
	When When `json:"when,omitempty"`
	// Times is the number of requests on which the fault acts. With 0 it acts on all of them until it is removed.
	Times int `json:"times"`
	// Delay applies to the action delay.
	Delay Duration `json:"delay,omitempty"`
}

// Active is a fault in force, with the number of times that it acted.
type Active struct {
	ID string `json:"id"`
	Fault
	Fired int `json:"fired"`
}

func (f Fault) validate(ops Operations) error {
	var errs []error
	invalid := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	op := f.Match.Operation
	webhook, transition := slices.Contains(ops.Webhooks, op), slices.Contains(ops.Transitions, op)
	if op != "" && !webhook && !transition && !slices.Contains(ops.Requests, op) {
		known := slices.Concat(ops.Requests, ops.Webhooks, ops.Transitions)
		invalid("match.operation %q is unknown: use one of %s", op, strings.Join(known, ", "))
	}
	if transition && (f.Action != Pause || f.When != "" || f.Times != 0) {
		invalid("%s is a transition: it accepts only the action pause, without when and times", op)
	}
	if f.Match.OrderID != "" && f.Match.Reference != "" {
		invalid("match.orderId and match.reference are synonyms: set one of them")
	}
	switch f.When {
	case "", Before, After:
	default:
		invalid("when %q is neither before nor after", f.When)
	}
	switch f.Action {
	case Pause, Drop, Delay:
	case Nonsense, Unavailable, Error500, Error500After:
		if webhook {
			invalid("action %s does not apply to webhooks: use pause, drop or delay", f.Action)
		}
		if f.When != "" && f.Action != Nonsense {
			invalid("action %s does not accept when", f.Action)
		}
	case Down:
		if f.Match != (Match{}) || f.When != "" || f.Times != 0 {
			invalid("action down applies to the listener: it accepts neither match nor when nor times")
		}
	default:
		invalid("action %q is unknown", f.Action)
	}
	if f.Times < 0 {
		invalid("times is negative")
	}
	if (f.Action == Delay) != (f.Delay > 0) {
		invalid("the action delay requires a positive delay, and no other action accepts one")
	}
	return errors.Join(errs...)
}

func (f Fault) matches(r Request, when When, apiRequests []string) bool {
	if op := f.Match.Operation; op != r.Operation && (op != "" || !slices.Contains(apiRequests, r.Operation)) {
		return false
	}
	if order := f.Match.order(); order != "" && order != r.Order {
		return false
	}
	switch f.Action {
	case Down:
		return false
	case Error500, Error500After:
		// These faults replace an execution, and a replay executes nothing.
		return when == Before && !r.Replay
	default:
		return (when == After) == (f.When == After)
	}
}

// Duration is a duration that is encoded as text, such as "1.5s".
type Duration time.Duration

// MarshalText returns the duration in the format of time.Duration.String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText parses the format of time.ParseDuration.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
