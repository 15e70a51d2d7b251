// Package faults injects faults into a simulator, on request of operators and tests.
//
// Each fault has an id, counts how often it acted, and can be removed. For each request, the first fault that matches
// before the effect acts, and the first that matches after it. A fault counts a request as fired when it starts to act,
// so that a test can wait until a request is paused. Faults are kept in memory only: a restarted simulator has none.
package faults

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Request is what a fault can match: an API request, a webhook or a transition.
type Request struct {
	Operation string
	Order     string
	// Replay reports that the response was saved by an earlier request with the same idempotency key. Faults of the
	// network still apply to it, but faults of the execution do not.
	Replay bool
}

// Decision is how a simulator processes a request.
type Decision int

// The decisions about a request.
const (
	Proceed            Decision = iota
	Disconnect                  // close the connection without a response
	RespondNonsense             // respond with a page that is not of the API, and save nothing
	RespondUnavailable          // respond with 503, without effect, and save nothing
	RespondError                // respond with 500, without effect, and save the response
	RespondErrorAfter           // have the effect, respond with 500, and save the response
)

type activeFault struct {
	Active
	removed chan struct{}
	paused  map[string]bool // orders whose transitions the fault has paused
}

// Operations are the names of the operations that a fault can match.
type Operations struct {
	Requests    []string // API requests
	Webhooks    []string // webhooks that the simulator sends
	Transitions []string // state changes that the simulator makes by itself
}

// Injector holds the faults of one simulator. Its methods are safe for concurrent use.
type Injector struct {
	ops Operations

	// changing is held while faults change, so that the callbacks run in the order of the changes.
	changing sync.Mutex
	onDown   func(down bool) error
	onChange func()

	mu     sync.Mutex
	faults []*activeFault
	lastID int

	closed    chan struct{}
	closeOnce sync.Once
}

// NewInjector returns an injector without faults.
func NewInjector(ops Operations) *Injector { return &Injector{ops: ops, closed: make(chan struct{})} }

// OnChange registers f to be called after each change of the faults.
func (i *Injector) OnChange(f func()) {
	i.changing.Lock()
	defer i.changing.Unlock()
	i.onChange = f
}

// OnDown registers f to be called when the simulator goes down or comes back up, and calls it immediately if the
// simulator is down. A change of the faults waits for f and returns its error.
func (i *Injector) OnDown(f func(down bool) error) error {
	i.changing.Lock()
	defer i.changing.Unlock()
	i.onDown = f
	if f != nil && i.Down() {
		return f(true)
	}
	return nil
}

// Replace replaces all faults and lets the requests go on that they paused. It returns an InvalidError, and changes
// nothing, if one of the new faults is invalid.
func (i *Injector) Replace(faults []Fault) error {
	for n, f := range faults {
		if err := f.validate(i.ops); err != nil {
			return InvalidError{fmt.Errorf("fault %d: %w", n, err)}
		}
	}
	return i.change(func() {
		i.remove(func(*activeFault) bool { return true })
		for _, f := range faults {
			i.add(f)
		}
	})
}

// Add appends one fault. It returns an InvalidError if f is invalid.
func (i *Injector) Add(f Fault) (Active, error) {
	if err := f.validate(i.ops); err != nil {
		return Active{}, InvalidError{err}
	}
	var added Active
	err := i.change(func() { added = i.add(f) })
	return added, err
}

// Remove removes the fault with this id and reports whether there was one.
func (i *Injector) Remove(id string) (found bool, err error) {
	err = i.change(func() {
		found = i.remove(func(f *activeFault) bool { return f.ID == id })
	})
	return found, err
}

// Faults returns the faults in force, in the order in which they are matched.
func (i *Injector) Faults() []Active {
	i.mu.Lock()
	defer i.mu.Unlock()
	active := make([]Active, 0, len(i.faults))
	for _, f := range i.faults {
		active = append(active, f.Active)
	}
	return active
}

// Down reports whether a fault keeps the listener closed.
func (i *Injector) Down() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.ContainsFunc(i.faults, func(f *activeFault) bool { return f.Action == Down })
}

// Close disconnects every paused request, and every later one that would be paused. It may be called more than once.
func (i *Injector) Close() { i.closeOnce.Do(func() { close(i.closed) }) }

// Before returns the decision about a request before it has any effect. It blocks while a fault pauses the request.
func (i *Injector) Before(ctx context.Context, r Request) Decision { return i.decide(ctx, r, Before) }

// After returns Proceed, Disconnect or RespondNonsense once the effect of a request is durable and before its response is written. It
// blocks while a fault pauses the request.
func (i *Injector) After(ctx context.Context, r Request) Decision { return i.decide(ctx, r, After) }

func (i *Injector) decide(ctx context.Context, r Request, when When) Decision {
	f := i.fire(r, when)
	if f == nil {
		return Proceed
	}
	switch f.Action {
	case Pause:
		return i.wait(ctx, f, nil)
	case Delay:
		return i.wait(ctx, f, time.After(time.Duration(f.Delay)))
	case Drop:
		return Disconnect
	case Nonsense:
		return RespondNonsense
	case Unavailable:
		return RespondUnavailable
	case Error500:
		return RespondError
	case Error500After:
		return RespondErrorAfter
	default:
		return Proceed
	}
}

// Paused reports, without blocking, whether a fault pauses a transition. OnChange signals when the result may have
// changed. A fault counts each order once.
func (i *Injector) Paused(transition Request) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, f := range i.faults {
		if f.Action == Pause && f.matches(transition, Before, i.ops.Requests) {
			if !f.paused[transition.Order] {
				f.paused[transition.Order] = true
				f.Fired++
			}
			return true
		}
	}
	return false
}

// fire returns the first fault that acts on r, after counting r; nil if there is none.
func (i *Injector) fire(r Request, when When) *activeFault {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, f := range i.faults {
		if (f.Times == 0 || f.Fired < f.Times) && f.matches(r, when, i.ops.Requests) {
			f.Fired++
			return f
		}
	}
	return nil
}

func (i *Injector) wait(ctx context.Context, f *activeFault, delay <-chan time.Time) Decision {
	select {
	case <-delay:
	case <-f.removed:
	case <-ctx.Done():
		return Disconnect
	case <-i.closed:
		return Disconnect
	}
	if ctx.Err() != nil { // both were ready: the client has disconnected
		return Disconnect
	}
	return Proceed
}

// change runs f under the lock, and the callbacks after it.
func (i *Injector) change(f func()) error {
	i.changing.Lock()
	defer i.changing.Unlock()
	wasDown := i.Down()
	i.mu.Lock()
	f()
	i.mu.Unlock()
	if i.onChange != nil {
		i.onChange()
	}
	if down := i.Down(); down != wasDown && i.onDown != nil {
		return i.onDown(down)
	}
	return nil
}

func (i *Injector) add(f Fault) Active {
	i.lastID++
	added := &activeFault{
		Active: Active{ID: strconv.Itoa(i.lastID), Fault: f}, removed: make(chan struct{}), paused: map[string]bool{},
	}
	if f.Action == Down {
		added.Fired = 1
	}
	i.faults = append(i.faults, added)
	return added.Active
}

func (i *Injector) remove(selected func(*activeFault) bool) bool {
	before := len(i.faults)
	i.faults = slices.DeleteFunc(i.faults, func(f *activeFault) bool {
		if selected(f) {
			close(f.removed)
			return true
		}
		return false
	})
	return len(i.faults) < before
}

// InvalidError reports that a fault is invalid, and why.
type InvalidError struct{ error }

// Unwrap returns the reason.
func (e InvalidError) Unwrap() error { return e.error }
