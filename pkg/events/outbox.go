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
)

// outboxName is the lease's name. Named outboxes will have more than one.
const outboxName = "default"

// row is an event in the outbox.
type row struct {
	id        int64
	subject   string
	createdAt time.Time
	refusals  int
	mandatory bool
	body      []byte
}

func (r row) message(publisher string) (Message, error) {
	var env Envelope
	if err := json.Unmarshal(r.body, &env); err != nil {
		return Message{}, err
	}
	return Message{Metadata: env.Metadata, Publisher: publisher, Mandatory: r.mandatory, Body: r.body}, nil
}

func insertRow(ctx context.Context, tx gorm.ConnPool, m Metadata, mandatory bool, body []byte, availableAt *time.Time) error {
	_, err := tx.ExecContext(ctx, `
		insert into outbox (event_id, type, subject, mandatory, body, created_at, available_at)
		values ($1, $2, $3, $4, $5, $6, $7)`,
		m.ID, m.Type, m.Subject, mandatory, string(body), m.Time, availableAt)
	return err
}

// outbox is the table as the relay sees it. Every statement stands alone and is bounded in time: no transaction is
// open while the relay waits for the broker, and a connection that has gone silent is given up.
type outbox struct {
	db     *sql.DB
	holder string // this instance
	audit  bool
	limit  time.Duration // for one statement
}

func (o outbox) exec(ctx context.Context, query string, args ...any) (affected bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	r, err := o.db.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// acquire takes the lease if it is free or has expired, by the database's clock.
func (o outbox) acquire(ctx context.Context, ttl time.Duration) (generation int64, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	err = o.db.QueryRowContext(ctx, `
		insert into outbox_lease as l (name, holder, generation, expires_at)
		values ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
		on conflict (name) do update
			set holder = excluded.holder, generation = l.generation + 1, expires_at = excluded.expires_at
			where l.expires_at < clock_timestamp()
		returning generation`, outboxName, o.holder, ttl.Milliseconds()).Scan(&generation)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return generation, err == nil, err
}

// renew prolongs the lease; ok is false if somebody else has it now.
func (o outbox) renew(ctx context.Context, generation int64, ttl time.Duration) (ok bool, err error) {
	return o.exec(ctx, `
		update outbox_lease set expires_at = clock_timestamp() + $4 * interval '1 millisecond'
		where name = $1 and holder = $2 and generation = $3`, outboxName, o.holder, generation, ttl.Milliseconds())
}

// release lets another instance take the lease at once.
func (o outbox) release(ctx context.Context, generation int64) error {
	_, err := o.exec(ctx, `
		update outbox_lease set expires_at = '-infinity' where name = $1 and holder = $2 and generation = $3`,
		outboxName, o.holder, generation)
	return err
}

// promote makes scheduled rows due, and lets their age count from then. They keep their place: what was written
// first leaves first.
func (o outbox) promote(ctx context.Context, now time.Time) error {
	_, err := o.exec(ctx, `
		update outbox set created_at = greatest(created_at, available_at), available_at = null
		where available_at <= $1`, now)
	return err
}

// due lists rows to send, without those in flight: the oldest of the subjects that nothing is held back of, and, in
// the second half, held rows whose time has come, so that neither can starve the other. What is behind a held row
// waits until that is gone. Rows are selected by state: the order of ids is not that of commits, so a cursor over
// ids would lose rows.
func (o outbox) due(ctx context.Context, now time.Time, inFlight []int64, limit int) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	rows, err := o.db.QueryContext(ctx, `
		(select id, subject, created_at, refusals, mandatory, body
			from outbox o
			where available_at is null and held_until is null and id <> all ($2)
				and not exists (select from outbox h
					where h.subject = o.subject and h.id < o.id and h.held_until is not null and h.available_at is null)
			order by id limit $3)
		union all
		(select id, subject, created_at, refusals, mandatory, body
			from outbox o
			where available_at is null and held_until <= $1 and id <> all ($2)
				and not exists (select from outbox h
					where h.subject = o.subject and h.id < o.id and h.held_until is not null and h.available_at is null)
			order by held_until limit $4)`, now, inFlight, limit, max(1, limit/2))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var due []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.subject, &r.createdAt, &r.refusals, &r.mandatory, &r.body); err != nil {
			return nil, err
		}
		due = append(due, r)
	}
	return due, rows.Err()
}

// done removes rows that the broker has taken, unless the lease has gone to somebody else. With auditing on they move
// to the event_log, which a restored outbox may have met before.
func (o outbox) done(ctx context.Context, generation int64, ids []int64, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	query := `with gone as (delete from outbox where id = any ($1)
		and exists (select from outbox_lease where name = $2 and holder = $3 and generation = $4)
		returning id, event_id, type, subject, body, created_at)`
	args := []any{ids, outboxName, o.holder, generation}
	if o.audit {
		query += `, logged as (insert into event_log (id, event_id, type, subject, body, created_at, published_at)
			select id, event_id, type, subject, body, created_at, $5 from gone on conflict do nothing)`
		args = append(args, now)
	}
	var gone int
	err := o.db.QueryRowContext(ctx, query+` select count(*) from gone`, args...).Scan(&gone)
	if err == nil && gone == 0 {
		err = errFenced
	}
	return err
}

// hold is a row that the broker did not take.
type hold struct {
	id      int64
	until   time.Time
	refused bool // counts against the limit
	parked  bool // out of circulation until a person releases it
	cause   error
}

// hold keeps rows, and the later ones of their subjects, back.
func (o outbox) hold(ctx context.Context, generation int64, holds []hold, now time.Time) error {
	n := len(holds)
	ids, until, refused, parked, causes := make([]int64, n), make([]time.Time, n), make([]bool, n), make([]bool, n), make([]string, n)
	for i, h := range holds {
		ids[i], until[i], refused[i], parked[i] = h.id, h.until, h.refused, h.parked
		// Others wrote the text; Postgres takes valid UTF-8 without NUL only.
		causes[i] = strings.ToValidUTF8(strings.ReplaceAll(h.cause.Error(), "\x00", ""), "\uFFFD")
	}
	_, err := o.exec(ctx, `
		update outbox o set
			held_until = case when h.parked then 'infinity' else h.until end,
			parked_at  = case when h.parked then $9::timestamptz end,
			refusals   = o.refusals + case when h.refused then 1 else 0 end,
			last_error = h.cause
		from unnest ($1::bigint[], $2::timestamptz[], $3::boolean[], $4::boolean[], $5::text[])
			as h (id, until, refused, parked, cause)
		where o.id = h.id and exists (select from outbox_lease where name = $6 and holder = $7 and generation = $8)`,
		ids, until, refused, parked, causes, outboxName, o.holder, generation, now)
	return err
}

// outboxStats is what health checks and metrics ask.
type outboxStats struct {
	waiting int64         // due, and nothing holds them back
	held    int64         // waiting for a queue or after a refusal, or behind such a row
	parked  int64         // waiting for a person
	lag     time.Duration // age of the oldest that is waiting: the relay's own delay
	oldest  time.Duration // age of the oldest that is due, whatever it waits for
}

func (o outbox) stats(ctx context.Context, now time.Time) (outboxStats, error) {
	var (
		s               outboxStats
		lagging, oldest sql.NullTime
	)
	err := o.db.QueryRowContext(ctx, `
		with due as (
			select created_at, parked_at, held_until is not null or exists (select from outbox h
				where h.subject = o.subject and h.id < o.id and h.held_until is not null and h.available_at is null) as held
			from outbox o where available_at is null)
		select count(*) filter (where not held), count(*) filter (where held and parked_at is null),
			count(*) filter (where parked_at is not null),
			min(created_at) filter (where not held), min(created_at)
		from due`).Scan(&s.waiting, &s.held, &s.parked, &lagging, &oldest)
	if err != nil {
		return s, fmt.Errorf("outbox: %w", err)
	}
	if lagging.Valid {
		s.lag = max(0, now.Sub(lagging.Time))
	}
	if oldest.Valid {
		s.oldest = max(0, now.Sub(oldest.Time))
	}
	return s, nil
}
