package events

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
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

// outbox is the table as the relay sees it. Every statement stands alone: no transaction is open while the relay
// waits for the broker.
type outbox struct {
	db    *sql.DB
	audit bool
}

// acquire takes the lease if it is free or has expired, by the database's clock.
func (o outbox) acquire(ctx context.Context, holder string, ttl time.Duration) (generation int64, ok bool, err error) {
	err = o.db.QueryRowContext(ctx, `
		insert into outbox_lease as l (name, holder, generation, expires_at)
		values ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
		on conflict (name) do update
			set holder = excluded.holder, generation = l.generation + 1, expires_at = excluded.expires_at
			where l.expires_at < clock_timestamp()
		returning generation`, outboxName, holder, ttl.Milliseconds()).Scan(&generation)
	if err == sql.ErrNoRows {
		return 0, false, nil
	}
	return generation, err == nil, err
}

// renew prolongs the lease; ok is false if somebody else has it now.
func (o outbox) renew(ctx context.Context, generation int64, ttl time.Duration) (ok bool, err error) {
	return o.affects(o.db.ExecContext(ctx, `
		update outbox_lease set expires_at = clock_timestamp() + $3 * interval '1 millisecond'
		where name = $1 and generation = $2`, outboxName, generation, ttl.Milliseconds()))
}

// release lets another instance take the lease at once.
func (o outbox) release(ctx context.Context, generation int64) error {
	_, err := o.db.ExecContext(ctx, `
		update outbox_lease set expires_at = '-infinity' where name = $1 and generation = $2`, outboxName, generation)
	return err
}

func (o outbox) affects(r sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// promote makes scheduled rows due. They keep their place: what was written first leaves first.
func (o outbox) promote(ctx context.Context, now time.Time) error {
	_, err := o.db.ExecContext(ctx, `update outbox set available_at = null where available_at <= $1`, now)
	return err
}

// due lists rows to send, oldest first, without those in flight and without those behind a held row of the same
// subject. It selects by state: the order of ids is not that of commits, so a cursor over ids would lose rows.
func (o outbox) due(ctx context.Context, now time.Time, inFlight []int64, limit int) ([]row, error) {
	rows, err := o.db.QueryContext(ctx, `
		select id, subject, created_at, refusals, mandatory, body
		from outbox o
		where available_at is null
			and (held_until is null or held_until <= $1)
			and id <> all ($2)
			and not exists (
				select from outbox h where h.subject = o.subject and h.id < o.id and h.held_until > $1 and h.available_at is null)
		order by id
		limit $3`, now, inFlight, limit)
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

// done removes rows that the broker has taken, unless the lease has gone to somebody else.
func (o outbox) done(ctx context.Context, generation int64, ids []int64, now time.Time) error {
	query := `delete from outbox where id = any ($1)
		and exists (select from outbox_lease where name = $2 and generation = $3)`
	args := []any{ids, outboxName, generation}
	if o.audit {
		query = `with gone as (` + query + ` returning id, event_id, type, subject, body, created_at)
			insert into event_log (id, event_id, type, subject, body, created_at, published_at)
			select id, event_id, type, subject, body, created_at, $4 from gone`
		args = append(args, now)
	}
	ok, err := o.affects(o.db.ExecContext(ctx, query, args...))
	if err == nil && !ok {
		err = errFenced
	}
	return err
}

// hold keeps a row, and the later ones of its subject, back until a time. refused counts against the limit.
func (o outbox) hold(ctx context.Context, generation, id int64, until time.Time, refused bool, cause error) error {
	_, err := o.db.ExecContext(ctx, `
		update outbox set held_until = $4, last_error = $5, refusals = refusals + case when $6 then 1 else 0 end
		where id = $1 and exists (select from outbox_lease where name = $2 and generation = $3)`,
		id, outboxName, generation, until, cause.Error(), refused)
	return err
}

// park takes a row out of circulation until a person releases it. The later ones of its subject wait with it.
func (o outbox) park(ctx context.Context, generation, id int64, now time.Time, cause error) error {
	_, err := o.db.ExecContext(ctx, `
		update outbox set held_until = 'infinity', parked_at = $4, last_error = $5, refusals = refusals + 1
		where id = $1 and exists (select from outbox_lease where name = $2 and generation = $3)`,
		id, outboxName, generation, now, cause.Error())
	return err
}

// outboxStats is what health checks and metrics ask.
type outboxStats struct {
	waiting int64         // due, neither scheduled nor held
	held    int64         // waiting for a queue, or after a refusal
	parked  int64         // waiting for a person
	oldest  time.Duration // age of the oldest row that is waiting
}

func (o outbox) stats(ctx context.Context, now time.Time) (outboxStats, error) {
	var (
		s      outboxStats
		oldest sql.NullTime
	)
	err := o.db.QueryRowContext(ctx, `
		select count(*) filter (where held_until is null),
			count(*) filter (where held_until is not null and parked_at is null),
			count(*) filter (where parked_at is not null),
			min(created_at) filter (where held_until is null)
		from outbox where available_at is null`).Scan(&s.waiting, &s.held, &s.parked, &oldest)
	if err != nil {
		return s, fmt.Errorf("outbox: %w", err)
	}
	if oldest.Valid {
		s.oldest = max(0, now.Sub(oldest.Time))
	}
	return s, nil
}
