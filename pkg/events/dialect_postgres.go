package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// migrationLock is the key of the advisory lock under which tables change: any constant that others don't use.
const migrationLock = 0x0e7e47500001

var postgres = dialect{
	insert: `
		insert into outbox (event_id, type, subject, mandatory, body, created_at, available_at)
		values ($1, $2, $3, $4, $5, $6, $7)`,

	acquire: `
		insert into outbox_lease as l (name, holder, generation, expires_at)
		values ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
		on conflict (name) do update
			set holder = excluded.holder, generation = l.generation + 1, expires_at = excluded.expires_at
			where l.expires_at < clock_timestamp()
		returning generation`,

	renew: `
		update outbox_lease set expires_at = clock_timestamp() + $4 * interval '1 millisecond'
		where name = $1 and holder = $2 and generation = $3`,

	release: `
		update outbox_lease set expires_at = '-infinity' where name = $1 and holder = $2 and generation = $3`,

	promote: `
		update outbox set created_at = greatest(created_at, available_at), available_at = null
		where available_at <= $1`,

	due: `
		(select id, subject, created_at, rejections, mandatory, body
			from outbox o
			where available_at is null and blocked_until is null and id <> all ($2)
				and not exists (select from outbox h
					where h.subject = o.subject and h.id < o.id and h.blocked_until is not null and h.available_at is null)
			order by id limit $3)
		union all
		(select id, subject, created_at, rejections, mandatory, body
			from outbox o
			where available_at is null and blocked_until <= $1 and id <> all ($2)
				and not exists (select from outbox h
					where h.subject = o.subject and h.id < o.id and h.blocked_until is not null and h.available_at is null)
			order by blocked_until limit $4)`,

	stats: `
		with due as (
			select created_at, parked_at, blocked_until is not null or exists (select from outbox h
				where h.subject = o.subject and h.id < o.id and h.blocked_until is not null and h.available_at is null) as blocked
			from outbox o where available_at is null)
		select count(*) filter (where not blocked), count(*) filter (where blocked and parked_at is null),
			count(*) filter (where parked_at is not null),
			min(created_at) filter (where not blocked), min(created_at)
		from due`,

	block: blockPostgres,
	done:  donePostgres,

	// The lock time-out bounds the wait for a concurrent duplicate, and holds for the rest of the transaction: the
	// reaction's own row locks are bounded too.
	insertRecord: `
		insert into inbox (handler, event_id, processed_at)
		select $1, $2, $3 from (select set_config('lock_timeout', '5s', true)) as settings
		on conflict do nothing`,

	recordExists: `select exists (select from inbox where handler = $1 and event_id = $2)`,

	purge: `
		delete from inbox where (handler, event_id) in (
			select handler, event_id from inbox where processed_at < $1 limit $2)`,

	time: func(t time.Time) any { return t },
	ids:  func(ids []int64) any { return ids },

	schema: func(statement string) string { return statement },
	// Whoever comes second waits for as long as the first one needs, whatever the session's time-outs are.
	lockSchema: []string{
		"select set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true)",
		fmt.Sprintf("select pg_advisory_xact_lock(%d)", migrationLock),
	},

	// serialization_failure, deadlock_detected, lock_not_available.
	contention: func(err error) bool { return postgresCode(err, "40001", "40P01", "55P03") },

	// Connection exceptions, insufficient resources, operator intervention (shutdown), read-only after a fail-over.
	away: func(err error) (away, told bool) {
		var pg *pgconn.PgError
		return postgresCode(err, "08", "53", "57P", "25006"), errors.As(err, &pg)
	},

	// undefined_table, undefined_column, insufficient_privilege.
	notMigrated: func(err error) bool { return postgresCode(err, "42P01", "42703", "42501") },
}

// postgresCode says whether the server has answered with a code that begins like one of these.
func postgresCode(err error, prefixes ...string) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for _, prefix := range prefixes {
		if strings.HasPrefix(pg.Code, prefix) {
			return true
		}
	}
	return false
}

func donePostgres(ctx context.Context, o outbox, generation int64, ids []int64, now time.Time) (gone int64, err error) {
	query := `with gone as (delete from outbox where id = any ($1)
		and exists (select from outbox_lease where name = $2 and holder = $3 and generation = $4)
		returning id, event_id, type, subject, body, created_at)`
	args := []any{ids, outboxName, o.holder, generation}
	if o.audit {
		query += `, logged as (insert into event_log (id, event_id, type, subject, body, created_at, published_at)
			select id, event_id, type, subject, body, created_at, $5 from gone on conflict do nothing)`
		args = append(args, now)
	}
	err = o.db.QueryRowContext(ctx, query+` select count(*) from gone`, args...).Scan(&gone)
	return gone, err
}

func blockPostgres(ctx context.Context, o outbox, generation int64, holds []block, now time.Time) error {
	n := len(holds)
	ids, until, refused, parked, causes := make([]int64, n), make([]time.Time, n), make([]bool, n), make([]bool, n), make([]string, n)
	for i, h := range holds {
		ids[i], until[i], refused[i], parked[i], causes[i] = h.id, h.until, h.rejected, h.parked, h.text()
	}
	_, err := o.db.ExecContext(ctx, `
		update outbox o set
			blocked_until = case when h.parked then 'infinity' else h.until end,
			parked_at  = case when h.parked then $9::timestamptz end,
			rejections   = o.rejections + case when h.refused then 1 else 0 end,
			last_error = h.cause
		from unnest ($1::bigint[], $2::timestamptz[], $3::boolean[], $4::boolean[], $5::text[])
			as h (id, until, refused, parked, cause)
		where o.id = h.id and exists (select from outbox_lease where name = $6 and holder = $7 and generation = $8)`,
		ids, until, refused, parked, causes, outboxName, o.holder, generation, now)
	return err
}
