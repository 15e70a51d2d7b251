package events

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/dberror"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/retry"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// runner runs the handler of one subscription.
type runner struct {
	Subscription
	cfg      Config
	queue    transport.Queue
	db       *gorm.DB
	sqlDB    *sql.DB
	dialect  *dialect.Dialect
	metrics  *telemetry.Metrics
	tracing  telemetry.Tracing
	stopping context.Context // ends when the bus stops fetching
	work     context.Context // ends when running handlers are cancelled
}

// handle runs the handler for one delivery and returns the outcome. It blocks while the database or an external system
// is unavailable. It does not panic: a delivery that crashed its process would crash the next one.
func (r *runner) handle(d transport.Delivery) (outcome transport.Outcome) {
	defer func() {
		if p := recover(); p != nil {
			outcome = r.deadLetter(r.work, d, Metadata{}, transport.ReasonFailed, panicError(p))
		}
	}()
	return r.deliver(d)
}

func (r *runner) deliver(d transport.Delivery) transport.Outcome {
	now := r.cfg.Now
	r.metrics.Received(r.work, r.queue)
	var env transport.Envelope
	err := json.Unmarshal(d.Body, &env)
	if d.Failure != nil {
		return r.deadLetter(withEvent(r.work, env.Metadata), d, env.Metadata, d.Failure.Reason, d.Failure.Err)
	}
	if err != nil {
		return r.deadLetter(r.work, d, Metadata{}, transport.ReasonUndecodable, fmt.Errorf("not an event: %w", err))
	}
	ctx := withEvent(r.work, env.Metadata)
	if env.Type != r.eventType {
		err := fmt.Errorf("event type is %q, the handler is for %q", env.Type, r.eventType)
		return r.deadLetter(ctx, d, env.Metadata, transport.ReasonIncompatible, err)
	}

	pause := retry.Backoff{First: 100 * time.Millisecond, Max: 5 * time.Second, Jitter: r.cfg.Jitter}
	var pausedAt time.Time
	resumed := false
	for {
		started := now()
		traceParent, err := r.attempt(ctx, env, d)
		r.metrics.Attempted(ctx, r.queue, now().Sub(started), errorType(err))
		if err == nil {
			r.metrics.Consumed(ctx, r.queue, now().Sub(env.Time))
			return transport.Outcome{Action: transport.Ack}
		}
		if r.work.Err() != nil {
			return transport.Outcome{Action: transport.Requeue, Err: err}
		}
		if isFinal(err) || !isUnavailable(err) && !r.dialect.Unavailable(r.work, r.sqlDB, err) {
			// The outage may have ended between this attempt and the check: that must not count as an attempt.
			outage := !pausedAt.IsZero() || dberror.KindOf(err) == dberror.Disconnected
			if outage && !resumed && !isFinal(err) {
				resumed = true
				continue
			}
			outcome := r.failed(ctx, d, env.Metadata, err)
			outcome.TraceParent = traceParent
			return outcome
		}
		if pausedAt.IsZero() {
			pausedAt = started
			r.cfg.Logger.WarnContext(ctx, "handler paused", "queue", r.queue.String(), "event_id", env.ID, "error", err)
		}
		if now().Sub(pausedAt) > r.cfg.Handlers.PauseLimit || retry.Sleep(r.stopping, pause.Next()) != nil {
			return transport.Outcome{Action: transport.Requeue, Err: err}
		}
	}
}

// isFinal reports whether the event itself is at fault, so that the state of the database does not matter.
func isFinal(err error) bool {
	var (
		permanent   *permanentError
		undecodable *undecodableError
	)
	return errors.As(err, &permanent) || errors.As(err, &undecodable)
}

// failed returns the outcome of a failed attempt: a retry or a dead letter.
func (r *runner) failed(ctx context.Context, d transport.Delivery, m Metadata, err error) transport.Outcome {
	var (
		permanent   *permanentError
		undecodable *undecodableError
		after       *retryAfterError
	)
	switch {
	case errors.As(err, &undecodable):
		return r.deadLetter(ctx, d, m, transport.ReasonUndecodable, err)
	case errors.As(err, &permanent):
		return r.deadLetter(ctx, d, m, transport.ReasonPermanent, err)
	case len(r.queue.RetryDelays) == 0,
		d.Attempt > len(r.queue.RetryDelays) && !r.unlimited && dberror.KindOf(err) != dberror.Locked:
		return r.deadLetter(ctx, d, m, transport.ReasonFailed, err)
	}
	outcome := transport.Outcome{
		Action: transport.Retry, Delay: r.queue.RetryDelays[max(1, min(d.Attempt, len(r.queue.RetryDelays)))-1], Err: err,
		Attempt: d.Attempt, FirstFailedAt: r.firstFailure(d),
	}
	if errors.As(err, &after) {
		outcome.Delay = after.delay
	}
	if dberror.KindOf(err) == dberror.Locked {
		outcome.Uncounted, outcome.Attempt, outcome.Delay = true, d.Attempt-1, r.lockDelay(outcome.FirstFailedAt)
	}
	r.metrics.Retried(ctx, r.queue)
	r.cfg.Logger.WarnContext(ctx, "handler failed", "queue", r.queue.String(), "event_id", m.ID, "event_type", m.Type,
		"subject", m.Subject, "correlation_id", m.CorrelationID, "attempt", d.Attempt, "again_in", outcome.Delay, "error", err)
	return outcome
}

// maxLockDelay is the longest pause before an event is handled again that has met a lock.
const maxLockDelay = 30 * time.Second

// lockDelay returns the pause before an event is handled again that has met a lock of another transaction. It grows with
// the time since the first failure. The event waits in the transport, so that it holds neither a worker nor a connection.
func (r *runner) lockDelay(firstFailedAt time.Time) time.Duration {
	return min(max(r.queue.RetryDelays[0], r.cfg.Now().Sub(firstFailedAt)/2), maxLockDelay)
}

// deadLetter returns the outcome that makes an event a dead letter. It is counted when it is one.
func (r *runner) deadLetter(ctx context.Context, d transport.Delivery, m Metadata, reason transport.Reason, err error) transport.Outcome {
	return transport.Outcome{
		Action: transport.DeadLetter, Reason: reason, Err: err, Attempt: d.Attempt, FirstFailedAt: r.firstFailure(d),
		Completed: func() {
			r.metrics.DeadLettered(ctx, r.queue, reason)
			r.callHook(ctx, DeadLetter{Queue: r.queue, Metadata: m, Body: d.Body, Reason: reason, Attempts: d.Attempt, Err: err})
		},
	}
}

// callHook calls Config.OnDeadLetter. A panic in it is logged: a crash would repeat with every redelivery.
func (r *runner) callHook(ctx context.Context, d DeadLetter) {
	defer func() {
		if p := recover(); p != nil {
			r.cfg.Logger.ErrorContext(ctx, "OnDeadLetter panicked", "panic", p, "dead_letter", d.Error())
		}
	}()
	r.cfg.OnDeadLetter(ctx, d)
}

// panicError describes a panic that was recovered, with its stack.
func panicError(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }

func (r *runner) firstFailure(d transport.Delivery) time.Time {
	if d.FirstFailedAt.IsZero() {
		return r.cfg.Now().UTC()
	}
	return d.FirstFailedAt
}

// attempt calls the handler once and turns a panic into an error. traceParent is that of the attempt's span.
func (r *runner) attempt(ctx context.Context, env transport.Envelope, d transport.Delivery) (traceParent string, err error) {
	ctx, span := r.tracing.Process(ctx, r.queue, env.Metadata, d)
	traceParent = telemetry.TraceParent(ctx)
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
		cancel()
		telemetry.EndSpan(span, errorType(err), err)
	}()
	return traceParent, r.run(ctx, &attempt{
		env: env, number: d.Attempt, handler: r.handler, timeout: r.timeout,
		db: r.db, sqlDB: r.sqlDB, dialect: r.dialect, now: r.cfg.Now,
	})
}
