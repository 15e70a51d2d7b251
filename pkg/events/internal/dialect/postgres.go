package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// migrationLock is the key of the advisory lock that serializes migrations: an arbitrary constant.
const migrationLock = 0x0e7e47500001

// postgresBlocked reports whether the row o is behind a blocked row of its subject.
const postgresBlocked = `exists (select from outbox h
	where h.subject = o.subject and h.id < o.id and h.blocked_until is not null and h.available_at is null)`

var postgres = Dialect{
	Insert: `
		insert into outbox (event_id, type, subject, mandatory, body, created_at, available_at)
		values ($1, $2, $3, $4, $5, $6, $7)`,

	AcquireLease: `
		insert into outbox_lease as l (name, holder, generation, expires_at)
		values ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
		on conflict (name) do update
			set holder = excluded.holder, generation = l.generation + 1, expires_at = excluded.expires_at
			where l.expires_at < clock_timestamp()
		returning generation`,

	RenewLease: `
		update outbox_lease set expires_at = clock_timestamp() + $4 * interval '1 millisecond'
		where name = $1 and holder = $2 and generation = $3`,

	ReleaseLease: `
		update outbox_lease set expires_at = '-infinity' where name = $1 and holder = $2 and generation = $3`,

	Promote: `
		update outbox set created_at = greatest(created_at, available_at), available_at = null
		where id = any (array(select id from outbox where available_at <= $1 order by available_at limit $2))`,

	// The limits inside the subqueries bound what is read, whatever the rows are. The last part says that there are more
	// rows than were examined, and costs nothing unless too few of these could be sent.
	Due: `
		with ready as materialized (
			select id, subject, created_at, rejections, mandatory, body
			from (select * from outbox where available_at is null and blocked_until is null order by id limit $5) o
			where id <> all ($2) and subject <> all ($6) and not ` + postgresBlocked + `
			order by id limit $3)
		select * from ready
		union all
		(select id, subject, created_at, rejections, mandatory, body
			from (select * from outbox
				where available_at is null and blocked_until <= $1 order by blocked_until limit $5) o
			where id <> all ($2) and subject <> all ($6) and not ` + postgresBlocked + `
			order by blocked_until limit $4)
		union all
		(select 0, '', created_at, 0, false, ''
			from outbox
			where (select count(*) from ready) < $3 and available_at is null and blocked_until is null
			order by id offset $5 limit 1)`,

	// One index lookup for each subject, from one to the next.
	Heads: `
		with recursive heads as (
			(select id, subject from outbox
				where available_at is null and blocked_until is null and subject > $1 order by subject, id limit 1)
			union all
			select n.id, n.subject from heads h, lateral (select id, subject from outbox
				where available_at is null and blocked_until is null and subject > h.subject
				order by subject, id limit 1) n),
		examined as materialized (select id, subject from heads limit $3)
		select coalesce(h.id, 0), coalesce(h.subject, ''), h.created_at, coalesce(h.rejections, 0),
			coalesce(h.mandatory, false), coalesce(h.body, ''), case when n = $3 then last else '' end
		from (select count(*) as n, max(subject) as last from examined) a
			left join (select o.* from examined e join outbox o on o.id = e.id
				where o.subject <> all ($2) and not ` + postgresBlocked + `) h on true`,

	Stats: `
		with ready as materialized (
			select created_at, ` + postgresBlocked + ` as blocked
			from (select id, subject, created_at from outbox
				where available_at is null and blocked_until is null order by id limit $2) o),
		blocked as materialized (
			select created_at, parked_at from outbox
			where available_at is null and blocked_until is not null order by blocked_until limit $2)
		select (select count(*) from ready where not blocked),
			(select count(*) from ready where blocked) + (select count(*) from blocked where parked_at is null),
			(select count(*) from blocked where parked_at is not null),
			(select min(created_at) from ready where not blocked),
			least((select min(created_at) from ready), (select min(created_at) from blocked),
				(select min(available_at) from outbox where available_at <= $1))`,

	Complete: completePostgres,
	Block:    blockPostgres,

	// The lock time-out bounds the wait for a concurrent duplicate. It stays in force for the rest of the transaction, so
	// it bounds the handler's own row locks too. It is short, because a session that waits holds a connection and a worker,
	// and longer than deadlock_timeout. An event that meets a lock for longer is handled again later, see dberror.Locked.
	InsertRecord: `
		insert into inbox (handler, event_id, processed_at)
		select $1, $2, $3 from (select set_config('lock_timeout', '2s', true)) as settings
		on conflict do nothing`,

	RecordExists: `select exists (select from inbox where handler = $1 and event_id = $2)`,

	PurgeRecords: `
		delete from inbox where (handler, event_id) in (
			select handler, event_id from inbox where processed_at < $1 limit $2)`,

	Time:     func(t time.Time) any { return t },
	IDs:      func(ids []int64) any { return ids },
	Subjects: func(subjects []string) any { return subjects },

	Schema: func(statement string) string { return statement },
	// A concurrent migration waits until the first one has finished, whatever the time-outs of its session are. But it
	// does not wait for long for a table, because all other statements on that table would wait behind it.
	LockSchema: []string{
		"select set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true)",
		fmt.Sprintf("select pg_advisory_xact_lock(%d)", migrationLock),
		"select set_config('lock_timeout', '2s', true)",
	},

	// undefined_table, undefined_column, insufficient_privilege.
	notMigrated: func(err error) bool { return hasPostgresCode(err, "42P01", "42703", "42501") },
}

// hasPostgresCode reports whether err is an error of the server with a code that has one of these prefixes.
func hasPostgresCode(err error, prefixes ...string) bool {
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

func completePostgres(ctx context.Context, db *sql.DB, lease Lease, ids []int64, audit bool, now time.Time) (deleted int64, err error) {
	query := `with gone as (delete from outbox where id = any ($1)
		and exists (select from outbox_lease where name = $2 and holder = $3 and generation = $4)
		returning id, event_id, type, subject, body, created_at)`
	args := []any{ids, lease.Name, lease.Holder, lease.Generation}
	if audit {
		query += `, logged as (insert into event_log (id, event_id, type, subject, body, created_at, published_at)
			select id, event_id, type, subject, body, created_at, $5 from gone on conflict do nothing)`
		args = append(args, now)
	}
	err = db.QueryRowContext(ctx, query+` select count(*) from gone`, args...).Scan(&deleted)
	return deleted, err
}

func blockPostgres(ctx context.Context, db *sql.DB, lease Lease, blocks []Block, now time.Time) error {
	n := len(blocks)
	ids, until, rejected, parked, causes := make([]int64, n), make([]time.Time, n), make([]bool, n), make([]bool, n), make([]string, n)
	for i, b := range blocks {
		ids[i], until[i], rejected[i], parked[i], causes[i] = b.ID, b.Until, b.Rejected, b.Parked, b.Cause
	}
	_, err := db.ExecContext(ctx, `
		update outbox o set
			blocked_until = case when b.parked then 'infinity' else b.until end,
			parked_at  = case when b.parked then $9::timestamptz end,
			rejections = o.rejections + case when b.rejected then 1 else 0 end,
			last_error = b.cause
		from unnest ($1::bigint[], $2::timestamptz[], $3::boolean[], $4::boolean[], $5::text[])
			as b (id, until, rejected, parked, cause)
		where o.id = b.id and exists (select from outbox_lease where name = $6 and holder = $7 and generation = $8)`,
		ids, until, rejected, parked, causes, lease.Name, lease.Holder, lease.Generation, now)
	return err
}
