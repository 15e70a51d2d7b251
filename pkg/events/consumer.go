package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"gorm.io/gorm"
)

// contentionRetries is how often a transaction that gave way to another is repeated before it counts as a failure.
const contentionRetries = 5

// commitGrace is how long a transaction may take beyond the reaction's time-out.
const commitGrace = 15 * time.Second

// consumption serves one subscription.
type consumption struct {
	Subscription
	bus   *Bus
	queue Queue
	stop  context.Context // ends when the bus is asked to stop
	work  context.Context // ends when what is in flight may not go on
}

// handle takes one delivery to its verdict. It blocks while the database or an outside party is away.
func (c *consumption) handle(d Delivery) Verdict {
	now := c.bus.cfg.Now
	c.bus.metrics.received(c.work, c.queue)
	var env Envelope
	if err := json.Unmarshal(d.Body, &env); err != nil {
		return c.dead(c.work, d, Metadata{}, DeadUndecodable, fmt.Errorf("not an event: %w", err))
	}
	ctx := withEvent(c.work, env.Metadata)
	if env.Type != c.eventType {
		err := fmt.Errorf("event type is %q, this reaction knows %q", env.Type, c.eventType)
		return c.dead(ctx, d, env.Metadata, DeadIncompatible, err)
	}

	pause := backoff{first: 100 * time.Millisecond, most: 5 * time.Second, jitter: c.bus.cfg.Jitter}
	var pausedAt time.Time
	for {
		started := now()
		traceParent, err := c.attempt(ctx, env, d)
		c.bus.metrics.handled(ctx, c.queue, now().Sub(started), err)
		if err == nil {
			c.bus.metrics.done(ctx, c.queue, now().Sub(env.Time))
			return Verdict{Action: Done}
		}
		if c.work.Err() != nil {
			return Verdict{Action: GiveBack, Err: err}
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
		if now().Sub(pausedAt) > c.bus.cfg.PauseLimit || sleep(c.stop, pause.next()) != nil {
			return Verdict{Action: GiveBack, Err: err}
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
func (c *consumption) failed(ctx context.Context, d Delivery, m Metadata, err error) Verdict {
	var (
		permanent   *permanentError
		undecodable *undecodableError
		after       *retryAfterError
	)
	switch {
	case errors.As(err, &undecodable):
		return c.dead(ctx, d, m, DeadUndecodable, err)
	case errors.As(err, &permanent):
		return c.dead(ctx, d, m, DeadPermanent, err)
	case d.Attempt > len(c.queue.Ladder):
		return c.dead(ctx, d, m, DeadFailed, err)
	}
	v := Verdict{Action: Retry, Delay: c.queue.Ladder[d.Attempt-1], Err: err, Attempt: d.Attempt, FirstFailedAt: c.firstFailure(d)}
	if errors.As(err, &after) {
		v.Delay = after.delay
	}
	c.bus.metrics.retried(ctx, c.queue)
	c.bus.cfg.Logger.WarnContext(ctx, "reaction failed", "queue", c.queue.String(), "event_id", m.ID, "event_type", m.Type,
		"subject", m.Subject, "correlation_id", m.CorrelationID, "attempt", d.Attempt, "again_in", v.Delay, "error", err)
	return v
}

func (c *consumption) dead(ctx context.Context, d Delivery, m Metadata, reason DeadReason, err error) Verdict {
	c.bus.metrics.dead(ctx, c.queue, reason)
	c.tell(ctx, DeadLetter{Queue: c.queue, Metadata: m, Body: d.Body, Reason: reason, Attempts: d.Attempt, Err: err})
	return Verdict{Action: Dead, Reason: reason, Err: err, Attempt: d.Attempt, FirstFailedAt: c.firstFailure(d)}
}

// tell calls the hook. One that panics must not take the process down, again and again with the same delivery.
func (c *consumption) tell(ctx context.Context, d DeadLetter) {
	defer func() {
		if p := recover(); p != nil {
			c.bus.cfg.Logger.ErrorContext(ctx, "OnDeadLetter panicked", "panic", p, "dead_letter", d.Error())
		}
	}()
	c.bus.cfg.OnDeadLetter(ctx, d)
}

func (c *consumption) firstFailure(d Delivery) time.Time {
	if d.FirstFailedAt.IsZero() {
		return c.bus.cfg.Now().UTC()
	}
	return d.FirstFailedAt
}

// attempt runs the reaction once. A panic is a failure. traceParent is that of its span.
func (c *consumption) attempt(ctx context.Context, env Envelope, d Delivery) (traceParent string, err error) {
	ctx, span := c.bus.tracing.process(ctx, c.queue, env.Metadata, d)
	traceParent = traceParentOf(ctx)
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		cancel()
		endSpan(span, errorType(err), err)
	}()

	if c.via {
		// The inbox insert comes after the outside call here; look first, so that a duplicate does not call again.
		if seen, err := c.bus.sql.hasMark(ctx, c.bus.sqlDB, c.reaction, env.ID); err != nil || seen {
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
func (c *consumption) apply(ctx context.Context, env Envelope, apply func(context.Context, *gorm.DB) error) error {
	// The transaction outlives the time-out, so that it does not cut a commit short: its outcome would be unknown.
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout+commitGrace)
	defer cancel()
	return c.bus.db.WithContext(whole).Transaction(func(tx *gorm.DB) error {
		fresh, err := c.bus.sql.setMark(ctx, tx, c.reaction, env.ID, c.bus.cfg.Now())
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
