// Package switches lets operators and tests break a simulator on purpose, in ways that are named, counted and undone.
//
// A set holds rules. For each request the first matching rule before its effect acts, and the first matching rule after
// it. A rule counts a request as fired when it begins to act on it, so that a test can wait for a request to be held.
// Rules live in memory: a restarted simulator is whole again.
package switches

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Request is what a rule can see of a request.
type Request struct {
	Operation string
	Order     string
	// Replay says that the answer was saved by an earlier request with the same key. The network still loses such
	// answers, but nothing is executed that could fail.
	Replay bool
}

// Verdict is what to do with a request.
type Verdict int

const (
	Proceed         Verdict = iota
	HangUp                  // cut the connection without an answer
	AnswerBusy              // answer 503, have no effect, save nothing
	AnswerFailed            // answer 500, have no effect, save the answer
	FailAfterEffect         // have the effect, answer 500, save that answer
)

type rule struct {
	Rule
	removed chan struct{}
	held    map[string]bool // orders whose moves it keeps from being made
}

// Set is the switches of one simulator. Its methods may be called by several goroutines at once.
type Set struct {
	ops Operations

	// changing is held while rules change, so that the listener follows in the same order.
	changing sync.Mutex
	onDown   func(down bool) error
	onChange func()

	mu     sync.Mutex
	rules  []*rule
	lastID int

	closed    chan struct{}
	closeOnce sync.Once
}

// Operations are the names of what rules can be about.
type Operations struct {
	Incoming []string // what the simulator is asked
	Outgoing []string // the webhooks that it sends
	Moves    []string // what it does by itself
}

// New makes a set without rules.
func New(ops Operations) *Set { return &Set{ops: ops, closed: make(chan struct{})} }

// OnChange has f called after each change of the rules.
func (s *Set) OnChange(f func()) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.onChange = f
}

// OnDown has f close or open the listener when the simulator goes down or up, and calls it at once if it is down
// already. Changes of the rules wait for f and report its error.
func (s *Set) OnDown(f func(down bool) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.onDown = f
	if f != nil && s.Down() {
		return f(true)
	}
	return nil
}

// Replace puts specs in the place of all rules, or reports what is wrong with them and changes nothing. Requests held by
// the rules that go are let go.
func (s *Set) Replace(specs []Spec) error {
	for i, spec := range specs {
		if err := spec.validate(s.ops); err != nil {
			return InvalidError{fmt.Errorf("rule %d: %w", i, err)}
		}
	}
	return s.change(func() {
		s.remove(func(*rule) bool { return true })
		for _, spec := range specs {
			s.add(spec)
		}
	})
}

// Add appends one rule.
func (s *Set) Add(spec Spec) (Rule, error) {
	if err := spec.validate(s.ops); err != nil {
		return Rule{}, InvalidError{err}
	}
	var added Rule
	err := s.change(func() { added = s.add(spec) })
	return added, err
}

// Remove takes one rule away and says whether it was there.
func (s *Set) Remove(id string) (found bool, err error) {
	err = s.change(func() {
		found = s.remove(func(r *rule) bool { return r.ID == id })
	})
	return found, err
}

// Rules lists the rules in force, in the order in which they are tried.
func (s *Set) Rules() []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	rules := make([]Rule, 0, len(s.rules))
	for _, r := range s.rules {
		rules = append(rules, r.Rule)
	}
	return rules
}

// Down says whether a rule keeps the listener closed.
func (s *Set) Down() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.rules, func(r *rule) bool { return r.Action == Down })
}

// Close makes every held request, and every one that would be, hang up. It may be called again.
func (s *Set) Close() { s.closeOnce.Do(func() { close(s.closed) }) }

// Before is asked before a request has any effect. It blocks while a rule holds the request.
func (s *Set) Before(ctx context.Context, r Request) Verdict { return s.act(ctx, r, Before) }

// After is asked when the effect is durable and before it is answered: Proceed or HangUp. It blocks while a rule holds
// the request.
func (s *Set) After(ctx context.Context, r Request) Verdict { return s.act(ctx, r, After) }

func (s *Set) act(ctx context.Context, r Request, when When) Verdict {
	rule := s.take(r, when)
	if rule == nil {
		return Proceed
	}
	switch rule.Action {
	case Hold:
		return s.wait(ctx, rule, nil)
	case Slow:
		return s.wait(ctx, rule, time.After(time.Duration(rule.Delay)))
	case Refuse:
		return HangUp
	case Unavailable:
		return AnswerBusy
	case Error500:
		return AnswerFailed
	case Error500After:
		return FailAfterEffect
	default:
		return Proceed
	}
}

// Holds says, without waiting, whether a rule keeps a move from being made for now. When that may have changed, OnChange
// tells. A rule counts each order once.
func (s *Set) Holds(move Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rule := range s.rules {
		if rule.Action == Hold && rule.matches(move, Before, s.ops.Incoming) {
			if !rule.held[move.Order] {
				rule.held[move.Order] = true
				rule.Fired++
			}
			return true
		}
	}
	return false
}

func (s *Set) take(r Request, when When) *rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rule := range s.rules {
		if (rule.Times == 0 || rule.Fired < rule.Times) && rule.matches(r, when, s.ops.Incoming) {
			rule.Fired++
			return rule
		}
	}
	return nil
}

func (s *Set) wait(ctx context.Context, r *rule, delay <-chan time.Time) Verdict {
	select {
	case <-delay:
	case <-r.removed:
	case <-ctx.Done():
		return HangUp
	case <-s.closed:
		return HangUp
	}
	if ctx.Err() != nil { // whichever came first: nobody is there for the answer
		return HangUp
	}
	return Proceed
}

// change runs f under the lock and has the listener follow.
func (s *Set) change(f func()) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	wasDown := s.Down()
	s.mu.Lock()
	f()
	s.mu.Unlock()
	if s.onChange != nil {
		s.onChange()
	}
	if down := s.Down(); down != wasDown && s.onDown != nil {
		return s.onDown(down)
	}
	return nil
}

func (s *Set) add(spec Spec) Rule {
	s.lastID++
	r := &rule{Rule: Rule{ID: strconv.Itoa(s.lastID), Spec: spec}, removed: make(chan struct{}), held: map[string]bool{}}
	if spec.Action == Down {
		r.Fired = 1
	}
	s.rules = append(s.rules, r)
	return r.Rule
}

func (s *Set) remove(which func(*rule) bool) bool {
	before := len(s.rules)
	s.rules = slices.DeleteFunc(s.rules, func(r *rule) bool {
		if which(r) {
			close(r.removed)
			return true
		}
		return false
	})
	return len(s.rules) < before
}

// InvalidError says that the rules given make no sense, and why.
type InvalidError struct{ error }

// Unwrap is the reason.
func (e InvalidError) Unwrap() error { return e.error }
