package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Received is an event as a reaction sees it.
type Received[T ETO] struct {
	Metadata
	Event   T
	Attempt int // 1 for the first delivery; larger after failures
}

// Subscription binds one reaction to one event. Make one with On or OnVia; its queue is named after the service
// and the reaction, so renaming a reaction means moving a queue.
type Subscription struct {
	reaction  string
	eventType string
	publisher string
	problem   error // of the ETO, reported by New
	workers   int
	timeout   time.Duration

	// prepare runs outside any transaction and answers what to do inside one.
	prepare func(ctx context.Context, env Envelope, attempt int) (apply func(ctx context.Context, tx *gorm.DB) error, err error)
	// via says that prepare talks to the outside world.
	via bool
}

// SubscribeOption changes how a subscription is served.
type SubscribeOption func(*Subscription)

// Workers sets how many events the subscription handles at once in one instance. The default is Config.Workers.
func Workers(n int) SubscribeOption { return func(s *Subscription) { s.workers = n } }

// Timeout bounds one attempt of the reaction. The default is Config.HandlerTimeout.
func Timeout(d time.Duration) SubscribeOption { return func(s *Subscription) { s.timeout = d } }

// On binds one reaction to one event. h runs inside tx together with the event's inbox mark: both are committed or
// neither, so its database effects happen exactly once per event. It must not talk to the outside world; OnVia is
// for that. The error it returns is its verdict, see Permanent, RetryAfter and Unavailable.
func On[T ETO](reaction string, h func(ctx context.Context, tx *gorm.DB, e Received[T]) error, opts ...SubscribeOption) Subscription {
	return newSubscription(reaction, h == nil, func(ctx context.Context, e Received[T]) (func(context.Context, *gorm.DB) error, error) {
		return func(ctx context.Context, tx *gorm.DB) error { return h(ctx, tx, e) }, nil
	}, opts)
}

// OnVia binds to one event a reaction that talks to the outside world. do runs first, outside any transaction, and
// may run again after any failure: it needs an idempotency key that was stored before, and it should look at its
// own state before it calls, since an inbox mark outlives no gateway's memory of a key. apply runs inside tx
// together with the event's inbox mark, once; it locks what it decides on, for the world may have moved since do.
func OnVia[T ETO, R any](
	reaction string,
	do func(ctx context.Context, e Received[T]) (R, error),
	apply func(ctx context.Context, tx *gorm.DB, e Received[T], r R) error,
	opts ...SubscribeOption,
) Subscription {
	s := newSubscription(reaction, do == nil || apply == nil, func(ctx context.Context, e Received[T]) (func(context.Context, *gorm.DB) error, error) {
		r, err := do(ctx, e)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, tx *gorm.DB) error { return apply(ctx, tx, e, r) }, nil
	}, opts)
	s.via = true
	return s
}

func newSubscription[T ETO](
	reaction string,
	missing bool, // the handler
	prepare func(ctx context.Context, e Received[T]) (func(context.Context, *gorm.DB) error, error),
	opts []SubscribeOption,
) Subscription {
	var zero T
	s := Subscription{reaction: reaction, eventType: zero.EventType(), publisher: zero.Publisher(), problem: checkETO(zero)}
	if missing {
		s.problem = errors.Join(s.problem, errors.New("no handler"))
	}
	s.prepare = func(ctx context.Context, env Envelope, attempt int) (func(context.Context, *gorm.DB) error, error) {
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

// Reaction is the name given to On.
func (s Subscription) Reaction() string { return s.reaction }

// EventType is the type the subscription handles.
func (s Subscription) EventType() string { return s.eventType }

type undecodableError struct{ err error }

func (e *undecodableError) Error() string { return e.err.Error() }
func (e *undecodableError) Unwrap() error { return e.err }
