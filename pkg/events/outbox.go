package events

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// outboxName is the lease's name. Named outboxes will have more than one.
const outboxName = "default"

// row is an event in the outbox.
type row struct {
	id         int64
	subject    string
	createdAt  time.Time
	rejections int
	mandatory  bool
	body       []byte
}

func (r row) message(publisher string) (transport.Message, error) {
	var env transport.Envelope
	if err := json.Unmarshal(r.body, &env); err != nil {
		return transport.Message{}, err
	}
	return transport.Message{Metadata: env.Metadata, Publisher: publisher, Mandatory: r.mandatory, Body: r.body}, nil
}

func insertRow(ctx context.Context, d *dialect, tx gorm.ConnPool, m Metadata, mandatory bool, body []byte, availableAt *time.Time) error {
	var available any
	if availableAt != nil {
		available = d.time(*availableAt)
	}
	_, err := tx.ExecContext(ctx, d.insert, m.ID, m.Type, m.Subject, mandatory, string(body), d.time(m.Time), available)
	if err != nil {
		return err
	}
	return ctx.Err() // a driver that was interrupted need not know whether the row was written
}

// outbox is the table as the relay sees it. Every statement stands alone and is bounded in time: no transaction is
// open while the relay waits for the broker, and a connection that has gone silent is given up.
type outbox struct {
	db        *sql.DB
	sql       *dialect
	writeLock writeLock
	holder    string // this instance
	audit     bool
	limit     time.Duration // for one statement
}

func (o outbox) exec(ctx context.Context, query string, args ...any) (affected bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	defer o.writeLock.acquire(ctx)()
	r, err := o.db.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err // as in setMark
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// acquire takes the lease if it is free or has expired, by the database's clock.
func (o outbox) acquire(ctx context.Context, ttl time.Duration) (generation int64, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	defer o.writeLock.acquire(ctx)()
	err = o.db.QueryRowContext(ctx, o.sql.acquire, outboxName, o.holder, ttl.Milliseconds()).Scan(&generation)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return generation, err == nil, err
}

// renew prolongs the lease; ok is false if somebody else has it now.
func (o outbox) renew(ctx context.Context, generation int64, ttl time.Duration) (ok bool, err error) {
	return o.exec(ctx, o.sql.renew, outboxName, o.holder, generation, ttl.Milliseconds())
}

// release lets another instance take the lease at once.
func (o outbox) release(ctx context.Context, generation int64) error {
	_, err := o.exec(ctx, o.sql.release, outboxName, o.holder, generation)
	return err
}

// promote makes scheduled rows due, and lets their age count from then. They keep their place: what was written
// first leaves first.
func (o outbox) promote(ctx context.Context, now time.Time) error {
	_, err := o.exec(ctx, o.sql.promote, o.sql.time(now))
	return err
}

// due lists rows to send, without those in flight: the oldest of the subjects that nothing is held back of, and, in
// the second half, held rows whose time has come, so that neither can starve the other. What is behind a held row
// waits until that is gone. Rows are selected by state: the order of ids is not that of commits, so a cursor over
// ids would lose rows.
func (o outbox) due(ctx context.Context, now time.Time, inFlight []int64, limit int) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	rows, err := o.db.QueryContext(ctx, o.sql.due, o.sql.time(now), o.sql.ids(inFlight), limit, max(1, limit/2))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var due []row
	for rows.Next() {
		var r row
		var createdAt instant
		if err := rows.Scan(&r.id, &r.subject, &createdAt, &r.rejections, &r.mandatory, &r.body); err != nil {
			return nil, err
		}
		r.createdAt = createdAt.Time
		due = append(due, r)
	}
	return due, rows.Err()
}

// done removes rows that the broker has taken, unless the lease has gone to somebody else. With auditing on they move
// to the event_log, which a restored outbox may have met before.
func (o outbox) done(ctx context.Context, generation int64, ids []int64, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	defer o.writeLock.acquire(ctx)()
	gone, err := o.sql.done(ctx, o, generation, ids, now)
	if err == nil && gone == 0 {
		err = errFenced
	}
	return err
}

// hold is a row that the broker did not take.
type block struct {
	id       int64
	until    time.Time
	rejected bool // counts against the limit
	parked   bool // out of circulation until a person releases it
	cause    error
}

// text is the cause as databases take it. Others wrote it, and Postgres wants valid UTF-8 without NUL.
func (h block) text() string {
	return strings.ToValidUTF8(strings.ReplaceAll(h.cause.Error(), "\x00", ""), "\uFFFD")
}

// hold keeps rows, and the later ones of their subjects, back.
func (o outbox) block(ctx context.Context, generation int64, holds []block, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	defer o.writeLock.acquire(ctx)()
	return o.sql.block(ctx, o, generation, holds, now)
}

// outboxStats is what health checks and metrics ask.
type outboxStats struct {
	waiting int64         // due, and nothing holds them back
	blocked int64         // waiting for a queue or after a refusal, or behind such a row
	parked  int64         // waiting for a person
	lag     time.Duration // age of the oldest that is waiting: the relay's own delay
	oldest  time.Duration // age of the oldest that is due, whatever it waits for
}

func (o outbox) stats(ctx context.Context, now time.Time) (outboxStats, error) {
	var (
		s               outboxStats
		lagging, oldest instant
	)
	err := o.db.QueryRowContext(ctx, o.sql.stats).Scan(&s.waiting, &s.blocked, &s.parked, &lagging, &oldest)
	if err != nil {
		return s, fmt.Errorf("outbox: %w", err)
	}
	if !lagging.IsZero() {
		s.lag = max(0, now.Sub(lagging.Time))
	}
	if !oldest.IsZero() {
		s.oldest = max(0, now.Sub(oldest.Time))
	}
	return s, nil
}
