package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
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
	problem   error // of the ETO, reported by New
	workers   int
	timeout   time.Duration

	// prepare runs outside any transaction and returns what to do inside one.
	prepare func(ctx context.Context, env transport.Envelope, attempt int) (apply func(ctx context.Context, tx *gorm.DB) error, err error)
	// external means that prepare calls an outside party.
	external bool
}

// SubscribeOption changes how a subscription is served.
type SubscribeOption func(*Subscription)

// Workers sets how many events the subscription handles at once in one instance. The default is Config.Workers.
func WithWorkers(n int) SubscribeOption { return func(s *Subscription) { s.workers = n } }

// Timeout bounds one attempt of the reaction. The default is Config.HandlerTimeout.
func WithTimeout(d time.Duration) SubscribeOption { return func(s *Subscription) { s.timeout = d } }

// Handle subscribes a handler to the event T. h runs inside tx, in which the event's inbox record was inserted before:
// both are committed or neither is, so the handler's database effects happen exactly once per event. h must not call an
// outside party; [HandleExternal] is for that. Its error decides the outcome, see [Permanent], [RetryAfter] and
// [Unavailable].
func Handle[T ETO](name string, h func(ctx context.Context, tx *gorm.DB, e Received[T]) error, opts ...SubscribeOption) Subscription {
	return newSubscription(name, h == nil, func(ctx context.Context, e Received[T]) (func(context.Context, *gorm.DB) error, error) {
		return func(ctx context.Context, tx *gorm.DB) error { return h(ctx, tx, e) }, nil
	}, opts)
}

// HandleExternal subscribes to the event T a handler that calls an outside party. call runs first, outside any
// transaction, and may run again after any failure: it needs an idempotency key that was stored before, and should look
// at its own state before it calls, because an inbox record may outlive the party's memory of a key. apply runs inside
// tx together with the event's inbox record, once. It locks what it decides on, since that may have changed since call.
func HandleExternal[T ETO, R any](
	name string,
	call func(ctx context.Context, e Received[T]) (R, error),
	apply func(ctx context.Context, tx *gorm.DB, e Received[T], r R) error,
	opts ...SubscribeOption,
) Subscription {
	s := newSubscription(name, call == nil || apply == nil, func(ctx context.Context, e Received[T]) (func(context.Context, *gorm.DB) error, error) {
		r, err := call(ctx, e)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, tx *gorm.DB) error { return apply(ctx, tx, e, r) }, nil
	}, opts)
	s.external = true
	return s
}

func newSubscription[T ETO](
	name string,
	missing bool, // the handler is nil
	prepare func(ctx context.Context, e Received[T]) (func(context.Context, *gorm.DB) error, error),
	opts []SubscribeOption,
) Subscription {
	var zero T
	s := Subscription{handler: name, eventType: zero.EventType()}
	if missing {
		s.problem = errors.Join(s.problem, errors.New("no handler"))
	}
	s.prepare = func(ctx context.Context, env transport.Envelope, attempt int) (func(context.Context, *gorm.DB) error, error) {
		e := Received[T]{Metadata: env.Metadata, Attempt: attempt}
		if err := json.Unmarshal(env.Data, &e.Event); err != nil {
			return nil, &undecodableError{fmt.Errorf("data is not a %T: %w", e.Event, err)}
		}
		return prepare(ctx, e)
	}
	for _, o := range opts {
		o(&s)
	}
	return s
}

// Handler returns the name given to Handle or HandleExternal.
func (s Subscription) Handler() string { return s.handler }

// EventType returns the type of the event that the subscription handles.
func (s Subscription) EventType() string { return s.eventType }

type undecodableError struct{ err error }

func (e *undecodableError) Error() string { return e.err.Error() }
func (e *undecodableError) Unwrap() error { return e.err }
