package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Received is an event as its handler receives it.
type Received[T ETO] struct {
	Metadata
	Event   T
	Attempt int // 1 for the first delivery; larger after failures
}

// Subscription connects one handler to one event. Make one with [Handle] or [HandleExternal]. Its queue is named after
// the service and the handler, so renaming a handler means moving a queue.
type Subscription struct {
	handler   string
	eventType string
	publisher string
	problem   error // reported by New
	workers   int
	timeout   time.Duration
	unlimited bool // retries
	run       func(ctx context.Context, a *attempt) error
}

// SubscribeOption is an option of [Handle] and [HandleExternal].
type SubscribeOption func(*Subscription)

// WithWorkers sets how many events the subscription handles at once in one instance. The default is Handlers.Workers.
func WithWorkers(n int) SubscribeOption { return func(s *Subscription) { s.workers = n } }

// WithTimeout bounds one attempt of the handler. The default is Handlers.Timeout.
func WithTimeout(d time.Duration) SubscribeOption { return func(s *Subscription) { s.timeout = d } }

// WithUnlimitedRetries retries a handler whose error is not permanent until it succeeds, after the last of the retry delays
// if there is no further one. It is for a call to an external system whose result must not stay unknown, such as a refund. By
// default, the event becomes a dead letter after the last retry.
func WithUnlimitedRetries() SubscribeOption { return func(s *Subscription) { s.unlimited = true } }

// Handle subscribes a handler to the event T. h runs inside tx, in which the event's inbox record was inserted before:
// both are committed or neither is, so the handler's database effects happen exactly once per event. h must not call an
// external system; [HandleExternal] is for that. Its error decides the outcome, see [Permanent], [RetryAfter] and
// [Unavailable].
func Handle[T ETO](name string, h func(ctx context.Context, tx *gorm.DB, e Received[T]) error, opts ...SubscribeOption) Subscription {
	return newSubscription[T](name, h == nil, opts, func(ctx context.Context, a *attempt) error {
		e, err := decode[T](a)
		if err != nil {
			return err
		}
		return a.transaction(ctx, func(ctx context.Context, tx *gorm.DB) error { return h(ctx, tx, e) })
	})
}

// HandleExternal subscribes to the event T a handler that calls an external system. call runs first, outside any
// transaction, and may run again after any failure: it needs an idempotency key that was stored before, and should look
// at its own state before it calls, because an inbox record may be kept longer than the system remembers a key. apply runs inside
// tx together with the event's inbox record, once. It locks what it decides on, since that may have changed since call.
func HandleExternal[T ETO, R any](
	name string,
	call func(ctx context.Context, e Received[T]) (R, error),
	apply func(ctx context.Context, tx *gorm.DB, e Received[T], r R) error,
	opts ...SubscribeOption,
) Subscription {
	return newSubscription[T](name, call == nil || apply == nil, opts, func(ctx context.Context, a *attempt) error {
		// The inbox record is inserted after the call, so a duplicate is looked for before it.
		if consumed, err := a.consumed(ctx); err != nil || consumed {
			return err
		}
		e, err := decode[T](a)
		if err != nil {
			return err
		}
		r, err := call(ctx, e)
		if err != nil {
			return err
		}
		return a.transaction(ctx, func(ctx context.Context, tx *gorm.DB) error { return apply(ctx, tx, e, r) })
	})
}

func newSubscription[T ETO](name string, incomplete bool, opts []SubscribeOption, run func(context.Context, *attempt) error) Subscription {
	var zero T
	s := Subscription{handler: name, eventType: zero.EventType(), run: run}
	if incomplete {
		s.problem = errors.New("no handler")
	}
	for _, o := range opts {
		o(&s)
	}
	return s
}

func decode[T ETO](a *attempt) (Received[T], error) {
	e := Received[T]{Metadata: a.env.Metadata, Attempt: a.number}
	if err := json.Unmarshal(a.env.Data, &e.Event); err != nil {
		return e, &undecodableError{fmt.Errorf("data is not a %T: %w", e.Event, err)}
	}
	return e, nil
}

// Handler returns the name given to Handle or HandleExternal.
func (s Subscription) Handler() string { return s.handler }

// EventType returns the type of the event that the subscription handles.
func (s Subscription) EventType() string { return s.eventType }
