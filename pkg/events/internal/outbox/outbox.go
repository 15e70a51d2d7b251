// Package outbox reads and writes the outbox table and the lease on it.
//
// Every statement is a transaction of its own and bounded in time: no transaction is open while the relay waits for the
// broker, and a connection that no longer responds is given up. Statements that change rows do so only while the lease is
// held.
package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/writelock"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// leaseName is the name of the only lease. Named outboxes would have more than one.
const leaseName = "default"

// ErrFenced means that another instance's relay has taken the lease.
var ErrFenced = errors.New("events: the outbox lease was lost")

// Row is an event in the outbox.
type Row struct {
	ID         int64
	Subject    string
	CreatedAt  time.Time // the time since which the event is due
	Rejections int
	Mandatory  bool
	Body       []byte
}

// Message decodes the row's envelope for the transport.
func (r Row) Message(publisher string) (transport.Message, error) {
	var env transport.Envelope
	if err := json.Unmarshal(r.Body, &env); err != nil {
		return transport.Message{}, err
	}
	return transport.Message{Metadata: env.Metadata, Publisher: publisher, Mandatory: r.Mandatory, Body: r.Body}, nil
}

// Insert writes an event inside the caller's transaction. availableAt is nil unless the event is scheduled.
func Insert(ctx context.Context, tx gorm.ConnPool, d *dialect.Dialect, m transport.Metadata, mandatory bool, body []byte, availableAt *time.Time) error {
	var available any
	if availableAt != nil {
		available = d.Time(*availableAt)
	}
	_, err := tx.ExecContext(ctx, d.Insert, m.ID, m.Type, m.Subject, mandatory, string(body), d.Time(m.Time), available)
	if err != nil {
		return d.Explain(err)
	}
	return ctx.Err() // an interrupted driver may report success although it wrote nothing
}

// Outbox is the table as one instance's relay sees it.
type Outbox struct {
	DB        *sql.DB
	Dialect   *dialect.Dialect
	WriteLock writelock.Lock
	Holder    string        // the instance
	Audit     bool          // copy published events to event_log
	Timeout   time.Duration // of one statement
}

// exec runs a statement and returns the number of rows that it changed.
func (o Outbox) exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	defer o.WriteLock.Acquire(ctx)()
	r, err := o.DB.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, o.Dialect.Explain(err)
	}
	if err := ctx.Err(); err != nil {
		return 0, err // as in Insert
	}
	return r.RowsAffected()
}

func (o Outbox) lease(generation int64) dialect.Lease {
	return dialect.Lease{Name: leaseName, Holder: o.Holder, Generation: generation}
}

// AcquireLease takes the lease if it is free or has expired by the database's clock. ok is false if another instance
// holds it.
func (o Outbox) AcquireLease(ctx context.Context, ttl time.Duration) (generation int64, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	defer o.WriteLock.Acquire(ctx)()
	err = o.DB.QueryRowContext(ctx, o.Dialect.AcquireLease, leaseName, o.Holder, ttl.Milliseconds()).Scan(&generation)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return generation, err == nil, o.Dialect.Explain(err)
}

// RenewLease prolongs the lease. ok is false if another instance holds it now.
func (o Outbox) RenewLease(ctx context.Context, generation int64, ttl time.Duration) (ok bool, err error) {
	n, err := o.exec(ctx, o.Dialect.RenewLease, leaseName, o.Holder, generation, ttl.Milliseconds())
	return n > 0, err
}

// ReleaseLease lets another instance take the lease at once.
func (o Outbox) ReleaseLease(ctx context.Context, generation int64) error {
	_, err := o.exec(ctx, o.Dialect.ReleaseLease, leaseName, o.Holder, generation)
	return err
}

// Promote makes scheduled rows due whose time has come, at most limit of them, and reports whether there may be more.
// Their age counts from that time, and they keep their place in the order of their subject.
func (o Outbox) Promote(ctx context.Context, now time.Time, limit int) (more bool, err error) {
	n, err := o.exec(ctx, o.Dialect.Promote, o.Dialect.Time(now), limit)
	return n >= int64(limit), err
}

// InFlight is what is on its way to the broker. Neither list is nil, which would be null in SQL.
type InFlight struct {
	IDs      []int64
	Subjects []string // of which there may be many more rows
}

// window is how many rows Due examines for each row that it may return. It bounds the cost of a query that meets rows
// of one subject only, or rows behind a blocked one.
const window = 10

// Due returns rows to publish, without those in flight: the oldest rows that are not blocked and, in a second part,
// blocked rows whose time has come, so that neither kind starves the other. Rows behind a blocked row of their subject
// are not due. Rows are selected by state, since ids are not in the order of commits: a cursor over ids would lose rows.
//
// Due examines a bounded number of the oldest rows. If these did not fill the limit although there are more rows, hidden
// is true, and Heads finds what is behind them.
func (o Outbox) Due(ctx context.Context, now time.Time, inFlight InFlight, limit int) (due []Row, hidden bool, err error) {
	err = o.query(ctx, func(rows *sql.Rows) error {
		r, err := scanRow(rows)
		if r.ID == 0 {
			hidden = true
		} else {
			due = append(due, r)
		}
		return err
	}, o.Dialect.Due, o.Dialect.Time(now), o.Dialect.IDs(inFlight.IDs), limit, max(1, limit/2), limit*window,
		o.Dialect.Subjects(inFlight.Subjects))
	return due, hidden, err
}

// Heads returns the oldest row of each of the limit subjects after the given one, if it is due, and the subject to go on
// after, which is empty after the last one.
func (o Outbox) Heads(ctx context.Context, after string, inFlight InFlight, limit int) (due []Row, last string, err error) {
	err = o.query(ctx, func(rows *sql.Rows) error {
		r, err := scanRow(rows, &last)
		if r.ID != 0 {
			due = append(due, r)
		}
		return err
	}, o.Dialect.Heads, after, o.Dialect.Subjects(inFlight.Subjects), limit)
	return due, last, err
}

// query runs a statement and calls scan for each row of its result.
func (o Outbox) query(ctx context.Context, scan func(*sql.Rows) error, query string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	rows, err := o.DB.QueryContext(ctx, query, args...)
	if err != nil {
		return o.Dialect.Explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func scanRow(rows *sql.Rows, more ...any) (r Row, err error) {
	var createdAt dialect.Instant
	err = rows.Scan(append([]any{&r.ID, &r.Subject, &createdAt, &r.Rejections, &r.Mandatory, &r.Body}, more...)...)
	r.CreatedAt = createdAt.Time
	return r, err
}

// Complete deletes rows that the broker has confirmed. It returns ErrFenced if the lease was lost.
func (o Outbox) Complete(ctx context.Context, generation int64, ids []int64, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	defer o.WriteLock.Acquire(ctx)()
	deleted, err := o.Dialect.Complete(ctx, o.DB, o.lease(generation), ids, o.Audit, now)
	if err == nil && deleted == 0 {
		err = ErrFenced
	}
	return err
}

// Block stores why the broker did not accept rows. They block the later rows of their subjects.
func (o Outbox) Block(ctx context.Context, generation int64, blocks []dialect.Block, now time.Time) error {
	for i := range blocks { // Postgres accepts only valid UTF-8 without NUL
		blocks[i].Cause = strings.ToValidUTF8(strings.ReplaceAll(blocks[i].Cause, "\x00", ""), "\uFFFD")
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	defer o.WriteLock.Acquire(ctx)()
	return o.Dialect.Block(ctx, o.DB, o.lease(generation), blocks, now)
}
