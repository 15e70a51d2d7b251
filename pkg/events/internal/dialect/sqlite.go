package dialect

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"
)

// SQLite has no type for times. The library stores text of this fixed length, in UTC and with microseconds as in
// Postgres. It compares as the times do, and drivers that know columns declared as timestamp return a time.Time.
const sqliteTime = "2006-01-02 15:04:05.000000-07:00"

const (
	sqliteNow     = `strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')`
	sqliteAlways  = `'9999-12-31 23:59:59.999999+00:00'` // Postgres's infinity
	sqliteNever   = `'0001-01-01 00:00:00.000000+00:00'`
	sqliteBlocked = `exists (select 1 from outbox h
		where h.subject = o.subject and h.id < o.id and h.blocked_until is not null and h.available_at is null)`
	sqliteLeased = `exists (select 1 from outbox_lease where name = ?2 and holder = ?3 and generation = ?4)`
)

// A transaction that writes excludes all others, which wait for the connection's busy_timeout: there are neither row
// locks nor concurrent duplicates. The lease uses the clock of the machine, which all processes that can open the file
// share.
var sqlite = Dialect{
	Insert: `
		insert into outbox (event_id, type, subject, mandatory, body, created_at, available_at)
		values (?1, ?2, ?3, ?4, ?5, ?6, ?7)`,

	AcquireLease: `
		insert into outbox_lease as l (name, holder, generation, expires_at)
		values (?1, ?2, 1, strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now', printf('%.3f seconds', ?3 / 1000.0)))
		on conflict (name) do update
			set holder = excluded.holder, generation = l.generation + 1, expires_at = excluded.expires_at
			where l.expires_at < ` + sqliteNow + `
		returning generation`,

	RenewLease: `
		update outbox_lease
		set expires_at = strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now', printf('%.3f seconds', ?4 / 1000.0))
		where name = ?1 and holder = ?2 and generation = ?3`,

	ReleaseLease: `
		update outbox_lease set expires_at = ` + sqliteNever + ` where name = ?1 and holder = ?2 and generation = ?3`,

	Promote: `
		update outbox set created_at = max(created_at, available_at), available_at = null
		where id in (select id from outbox where available_at <= ?1 order by available_at limit ?2)`,

	Due: `
		with ready as materialized (
			select id, subject, created_at, rejections, mandatory, body
			from (select * from outbox where available_at is null and blocked_until is null order by id limit ?5) o
			where id not in (select value from json_each(?2)) and subject not in (select value from json_each(?6))
				and not ` + sqliteBlocked + `
			order by id limit ?3)
		select * from ready
		union all
		select * from (select id, subject, created_at, rejections, mandatory, body
			from (select * from outbox
				where available_at is null and blocked_until <= ?1 order by blocked_until limit ?5) o
			where id not in (select value from json_each(?2)) and subject not in (select value from json_each(?6))
				and not ` + sqliteBlocked + `
			order by blocked_until limit ?4)
		union all
		select * from (select 0, '', created_at, 0, false, ''
			from outbox
			where (select count(*) from ready) < ?3 and available_at is null and blocked_until is null
			order by id limit 1 offset ?5)`,

	Heads: `
		with recursive subjects (subject) as (
			select min(subject) from outbox where available_at is null and blocked_until is null and subject > ?1
			union all
			select (select min(subject) from outbox
				where available_at is null and blocked_until is null and subject > s.subject)
			from subjects s where s.subject is not null limit ?3),
		examined as materialized (select subject from subjects where subject is not null)
		select coalesce(h.id, 0), coalesce(h.subject, ''), h.created_at, coalesce(h.rejections, 0),
			coalesce(h.mandatory, false), coalesce(h.body, ''), case when n = ?3 then last else '' end
		from (select count(*) as n, max(subject) as last from examined) a
			left join (select o.* from examined e join outbox o on o.id = (select min(id) from outbox
					where available_at is null and blocked_until is null and subject = e.subject)
				where o.subject not in (select value from json_each(?2)) and not ` + sqliteBlocked + `) h on true`,

	Stats: `
		with ready as materialized (
			select created_at, ` + sqliteBlocked + ` as blocked
			from (select id, subject, created_at from outbox
				where available_at is null and blocked_until is null order by id limit ?2) o),
		blocked as materialized (
			select created_at, parked_at from outbox
			where available_at is null and blocked_until is not null order by blocked_until limit ?2)
		select (select count(*) from ready where not blocked),
			(select count(*) from ready where blocked) + (select count(*) from blocked where parked_at is null),
			(select count(*) from blocked where parked_at is not null),
			(select min(created_at) from ready where not blocked),
			(select min(t) from (select min(created_at) as t from ready union all select min(created_at) from blocked
				union all select min(available_at) from outbox where available_at <= ?1))`,

	Complete: completeSQLite,
	Block:    blockSQLite,

	InsertRecord: `insert into inbox (handler, event_id, processed_at) values (?1, ?2, ?3) on conflict do nothing`,

	RecordExists: `select exists (select 1 from inbox where handler = ?1 and event_id = ?2)`,

	PurgeRecords: `
		delete from inbox where (handler, event_id) in (
			select handler, event_id from inbox where processed_at < ?1 limit ?2)`,

	SingleWriter: true,

	Time:     func(t time.Time) any { return sqliteText(t) },
	IDs:      func(ids []int64) any { return jsonText(ids) },
	Subjects: func(subjects []string) any { return jsonText(subjects) },

	// Without autoincrement SQLite reuses the ids of deleted rows, which are keys of event_log.
	Schema: strings.NewReplacer(
		"bigint generated always as identity primary key", "integer primary key autoincrement",
		"timestamptz", "timestamp",
	).Replace,

	// SQLite has no codes for these.
	notMigrated: func(err error) bool {
		for _, text := range []string{"no such table", "no such column", "has no column named"} {
			if strings.Contains(err.Error(), text) {
				return true
			}
		}
		return false
	},
}

func sqliteText(t time.Time) string { return t.UTC().Format(sqliteTime) }

func completeSQLite(ctx context.Context, db *sql.DB, lease Lease, ids []int64, audit bool, now time.Time) (deleted int64, err error) {
	list := jsonText(ids)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	if audit {
		if _, err := tx.ExecContext(ctx, `
			insert into event_log (id, event_id, type, subject, body, created_at, published_at)
			select id, event_id, type, subject, body, created_at, ?5 from outbox
			where id in (select value from json_each(?1)) and `+sqliteLeased+`
			on conflict do nothing`, list, lease.Name, lease.Holder, lease.Generation, sqliteText(now)); err != nil {
			return 0, err
		}
	}
	result, err := tx.ExecContext(ctx, `
		delete from outbox where id in (select value from json_each(?1)) and `+sqliteLeased,
		list, lease.Name, lease.Holder, lease.Generation)
	if err != nil {
		return 0, err
	}
	if deleted, err = result.RowsAffected(); err != nil {
		return 0, err
	}
	return deleted, tx.Commit()
}

func blockSQLite(ctx context.Context, db *sql.DB, lease Lease, blocks []Block, now time.Time) error {
	type row struct {
		ID       int64  `json:"id"`
		Until    string `json:"until"`
		Rejected bool   `json:"rejected"`
		Parked   bool   `json:"parked"`
		Cause    string `json:"cause"`
	}
	rows := make([]row, len(blocks))
	for i, b := range blocks {
		rows[i] = row{b.ID, sqliteText(b.Until), b.Rejected, b.Parked, b.Cause}
	}
	_, err := db.ExecContext(ctx, `
		update outbox as o set
			blocked_until = case when b.parked then `+sqliteAlways+` else b.until end,
			parked_at  = case when b.parked then ?5 end,
			rejections = o.rejections + case when b.rejected then 1 else 0 end,
			last_error = b.cause
		from (select value ->> 'id' as id, value ->> 'until' as until, value ->> 'rejected' as rejected,
				value ->> 'parked' as parked, value ->> 'cause' as cause from json_each(?1)) as b
		where o.id = b.id and `+sqliteLeased,
		jsonText(rows), lease.Name, lease.Holder, lease.Generation, sqliteText(now))
	return err
}

// jsonText encodes a value for json_each. It panics if JSON cannot express the value.
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
