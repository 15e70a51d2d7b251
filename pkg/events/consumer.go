package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// contentionRetries is how often a transaction that gave way to another is repeated before it counts as a failure.
const contentionRetries = 5

// commitGrace is how long a transaction may take beyond the reaction's time-out.
const commitGrace = 15 * time.Second

// consumption serves one subscription.
type consumption struct {
	Subscription
	bus      *Bus
	queue    transport.Queue
	stopping context.Context // ends when the bus is asked to stop
	work     context.Context // ends when what is in flight may not go on
}

// handle takes one delivery to its verdict. It blocks while the database or an outside party is away.
func (c *consumption) handle(d transport.Delivery) transport.Outcome {
	now := c.bus.cfg.Now
	c.bus.metrics.received(c.work, c.queue)
	var env transport.Envelope
	if err := json.Unmarshal(d.Body, &env); err != nil {
		return c.deadLetter(c.work, d, Metadata{}, transport.ReasonUndecodable, fmt.Errorf("not an event: %w", err))
	}
	ctx := withEvent(c.work, env.Metadata)
	if env.Type != c.eventType {
		err := fmt.Errorf("event type is %q, this reaction knows %q", env.Type, c.eventType)
		return c.deadLetter(ctx, d, env.Metadata, transport.ReasonIncompatible, err)
	}

	pause := backoff{first: 100 * time.Millisecond, most: 5 * time.Second, jitter: c.bus.cfg.Jitter}
	var pausedAt time.Time
	for {
		started := now()
		traceParent, err := c.attempt(ctx, env, d)
		c.bus.metrics.handled(ctx, c.queue, now().Sub(started), err)
		if err == nil {
			c.bus.metrics.done(ctx, c.queue, now().Sub(env.Time))
			return transport.Outcome{Action: transport.Ack}
		}
		if c.work.Err() != nil {
			return transport.Outcome{Action: transport.Requeue, Err: err}
		}
		if decided(err) || !isUnavailable(err) && !databaseAway(c.work, c.bus.sql, c.bus.sqlDB, err) {
			v := c.failed(ctx, d, env.Metadata, err)
			v.TraceParent = traceParent
			return v
		}
		if pausedAt.IsZero() {
			pausedAt = started
			c.bus.cfg.Logger.WarnContext(ctx, "reaction pauses", "queue", c.queue.String(), "event_id", env.ID, "error", err)
		}
		if now().Sub(pausedAt) > c.bus.cfg.PauseLimit || sleep(c.stopping, pause.next()) != nil {
			return transport.Outcome{Action: transport.Requeue, Err: err}
		}
	}
}

// decided says that the reaction itself has passed judgement, so that the state of the database does not matter.
func decided(err error) bool {
	var (
		permanent   *permanentError
		undecodable *undecodableError
	)
	return errors.As(err, &permanent) || errors.As(err, &undecodable)
}

// failed turns an error into the next rung of the ladder, or the end of it.
func (c *consumption) failed(ctx context.Context, d transport.Delivery, m Metadata, err error) transport.Outcome {
	var (
		permanent   *permanentError
		undecodable *undecodableError
		after       *retryAfterError
	)
	switch {
	case errors.As(err, &undecodable):
		return c.deadLetter(ctx, d, m, transport.ReasonUndecodable, err)
	case errors.As(err, &permanent):
		return c.deadLetter(ctx, d, m, transport.ReasonPermanent, err)
	case d.Attempt > len(c.queue.RetryDelays):
		return c.deadLetter(ctx, d, m, transport.ReasonFailed, err)
	}
	v := transport.Outcome{Action: transport.Retry, Delay: c.queue.RetryDelays[d.Attempt-1], Err: err, Attempt: d.Attempt, FirstFailedAt: c.firstFailure(d)}
	if errors.As(err, &after) {
		v.Delay = after.delay
	}
	c.bus.metrics.retried(ctx, c.queue)
	c.bus.cfg.Logger.WarnContext(ctx, "reaction failed", "queue", c.queue.String(), "event_id", m.ID, "event_type", m.Type,
		"subject", m.Subject, "correlation_id", m.CorrelationID, "attempt", d.Attempt, "again_in", v.Delay, "error", err)
	return v
}

func (c *consumption) deadLetter(ctx context.Context, d transport.Delivery, m Metadata, reason transport.Reason, err error) transport.Outcome {
	c.bus.metrics.deadLettered(ctx, c.queue, reason)
	c.callHook(ctx, DeadLetter{Queue: c.queue, Metadata: m, Body: d.Body, Reason: reason, Attempts: d.Attempt, Err: err})
	return transport.Outcome{Action: transport.DeadLetter, Reason: reason, Err: err, Attempt: d.Attempt, FirstFailedAt: c.firstFailure(d)}
}

// tell calls the hook. One that panics must not take the process down, again and again with the same delivery.
func (c *consumption) callHook(ctx context.Context, d DeadLetter) {
	defer func() {
		if p := recover(); p != nil {
			c.bus.cfg.Logger.ErrorContext(ctx, "OnDeadLetter panicked", "panic", p, "dead_letter", d.Error())
		}
	}()
	c.bus.cfg.OnDeadLetter(ctx, d)
}

func (c *consumption) firstFailure(d transport.Delivery) time.Time {
	if d.FirstFailedAt.IsZero() {
		return c.bus.cfg.Now().UTC()
	}
	return d.FirstFailedAt
}

// attempt runs the reaction once. A panic is a failure. traceParent is that of its span.
func (c *consumption) attempt(ctx context.Context, env transport.Envelope, d transport.Delivery) (traceParent string, err error) {
	ctx, span := c.bus.tracing.process(ctx, c.queue, env.Metadata, d)
	traceParent = traceParentFrom(ctx)
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		cancel()
		endSpan(span, errorType(err), err)
	}()

	if c.external {
		// The inbox insert comes after the outside call here; look first, so that a duplicate does not call again.
		if seen, err := c.bus.sql.hasInboxRecord(ctx, c.bus.sqlDB, c.handler, env.ID); err != nil || seen {
			return traceParent, err
		}
	}
	apply, err := c.prepare(ctx, env, d.Attempt)
	if err != nil {
		return traceParent, err
	}
	for try := 0; ; try++ {
		err = c.apply(ctx, env, apply)
		if !c.bus.sql.contention(err) || try == contentionRetries {
			return traceParent, err
		}
	}
}

// apply runs the reaction's transaction: inbox mark first, then its effects and its outbox rows.
func (c *consumption) apply(ctx context.Context, env transport.Envelope, apply func(context.Context, *gorm.DB) error) error {
	// The transaction outlives the time-out, so that it does not cut a commit short: its outcome would be unknown.
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout+commitGrace)
	defer cancel()
	return c.bus.db.WithContext(whole).Transaction(func(tx *gorm.DB) error {
		fresh, err := c.bus.sql.insertInboxRecord(ctx, tx, c.handler, env.ID, c.bus.cfg.Now())
		if err != nil || !fresh {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := apply(ctx, tx.WithContext(ctx)); err != nil {
			return err
		}
		return ctx.Err()
	})
}
