package events

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// SQLite has no type for times. Ours are text of this one length, in UTC and in microseconds as in Postgres, so that
// they compare as the times do, and so that drivers which know columns declared as timestamp hand out a time.Time.
const sqliteTime = "2006-01-02 15:04:05.000000-07:00"

const (
	sqliteNow     = `strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')`
	sqliteAlways  = `'9999-12-31 23:59:59.999999+00:00'` // Postgres's infinity
	sqliteNever   = `'0001-01-01 00:00:00.000000+00:00'`
	sqliteBlocked = `exists (select 1 from outbox h
		where h.subject = o.subject and h.id < o.id and h.blocked_until is not null and h.available_at is null)`
	sqliteLeased = `exists (select 1 from outbox_lease where name = ?2 and holder = ?3 and generation = ?4)`
)

// A transaction that writes has the database to itself, so neither locks nor duplicates can meet; how long others
// wait for it is the connection's busy_timeout. The clock of the lease is that of the machine, which all who can open
// the file share.
var sqlite = dialect{
	insert: `
		insert into outbox (event_id, type, subject, mandatory, body, created_at, available_at)
		values (?1, ?2, ?3, ?4, ?5, ?6, ?7)`,

	acquire: `
		insert into outbox_lease as l (name, holder, generation, expires_at)
		values (?1, ?2, 1, strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now', printf('%.3f seconds', ?3 / 1000.0)))
		on conflict (name) do update
			set holder = excluded.holder, generation = l.generation + 1, expires_at = excluded.expires_at
			where l.expires_at < ` + sqliteNow + `
		returning generation`,

	renew: `
		update outbox_lease
		set expires_at = strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now', printf('%.3f seconds', ?4 / 1000.0))
		where name = ?1 and holder = ?2 and generation = ?3`,

	release: `
		update outbox_lease set expires_at = ` + sqliteNever + ` where name = ?1 and holder = ?2 and generation = ?3`,

	promote: `
		update outbox set created_at = max(created_at, available_at), available_at = null
		where available_at <= ?1`,

	due: `
		select * from (select id, subject, created_at, rejections, mandatory, body
			from outbox o
			where available_at is null and blocked_until is null and id not in (select value from json_each(?2))
				and not ` + sqliteBlocked + `
			order by id limit ?3)
		union all
		select * from (select id, subject, created_at, rejections, mandatory, body
			from outbox o
			where available_at is null and blocked_until <= ?1 and id not in (select value from json_each(?2))
				and not ` + sqliteBlocked + `
			order by blocked_until limit ?4)`,

	stats: `
		with due as (
			select created_at, parked_at, blocked_until is not null or ` + sqliteBlocked + ` as blocked
			from outbox o where available_at is null)
		select count(*) filter (where not blocked), count(*) filter (where blocked and parked_at is null),
			count(*) filter (where parked_at is not null),
			min(created_at) filter (where not blocked), min(created_at)
		from due`,

	block: blockSQLite,
	done:  doneSQLite,

	insertRecord: `insert into inbox (handler, event_id, processed_at) values (?1, ?2, ?3) on conflict do nothing`,

	recordExists: `select exists (select 1 from inbox where handler = ?1 and event_id = ?2)`,

	purge: `
		delete from inbox where (handler, event_id) in (
			select handler, event_id from inbox where processed_at < ?1 limit ?2)`,

	oneWriter: true,

	time: func(t time.Time) any { return t.UTC().Format(sqliteTime) },
	ids:  func(ids []int64) any { return jsonText(ids) },

	// Without autoincrement, ids of deleted rows would come again, and the event_log would take them for known.
	schema: strings.NewReplacer(
		"bigint generated always as identity primary key", "integer primary key autoincrement",
		"timestamptz", "timestamp",
	).Replace,

	contention: func(err error) bool {
		code, told := sqliteCode(err)
		return told && (code == sqliteBusy || code == sqliteLocked)
	},

	away: func(err error) (away, told bool) {
		code, told := sqliteCode(err)
		switch code {
		case sqliteReadOnly, sqliteIOErr, sqliteFull, sqliteCantOpen:
			away = true
		}
		return away, told
	},

	// SQLite has no code for it.
	notMigrated: func(err error) bool {
		for _, text := range []string{"no such table", "no such column", "has no column named"} {
			if strings.Contains(err.Error(), text) {
				return true
			}
		}
		return false
	},
}

// SQLite's primary result codes, as far as they matter here.
const (
	sqliteBusy     = 5
	sqliteLocked   = 6
	sqliteReadOnly = 8
	sqliteIOErr    = 10
	sqliteFull     = 13
	sqliteCantOpen = 14
)

// sqliteCode finds the result code in an error of a driver that hands it out with a method Code, as those do that are
// translated from SQLite's source. The driver is the caller's choice, so its type cannot be named here.
func sqliteCode(err error) (primary int, told bool) {
	var coded interface {
		error
		Code() int
	}
	if !errors.As(err, &coded) {
		return 0, false
	}
	return coded.Code() & 0xff, true
}

func doneSQLite(ctx context.Context, o outbox, generation int64, ids []int64, now time.Time) (gone int64, err error) {
	list := jsonText(ids)
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	if o.audit {
		if _, err := tx.ExecContext(ctx, `
			insert into event_log (id, event_id, type, subject, body, created_at, published_at)
			select id, event_id, type, subject, body, created_at, ?5 from outbox
			where id in (select value from json_each(?1)) and `+sqliteLeased+`
			on conflict do nothing`, list, outboxName, o.holder, generation, o.sql.time(now)); err != nil {
			return 0, err
		}
	}
	result, err := tx.ExecContext(ctx, `
		delete from outbox where id in (select value from json_each(?1)) and `+sqliteLeased,
		list, outboxName, o.holder, generation)
	if err != nil {
		return 0, err
	}
	if gone, err = result.RowsAffected(); err != nil {
		return 0, err
	}
	return gone, tx.Commit()
}

func blockSQLite(ctx context.Context, o outbox, generation int64, holds []block, now time.Time) error {
	type row struct {
		ID      int64  `json:"id"`
		Until   any    `json:"until"`
		Refused bool   `json:"refused"`
		Parked  bool   `json:"parked"`
		Cause   string `json:"cause"`
	}
	rows := make([]row, len(holds))
	for i, h := range holds {
		rows[i] = row{h.id, o.sql.time(h.until), h.rejected, h.parked, h.text()}
	}
	_, err := o.db.ExecContext(ctx, `
		update outbox as o set
			blocked_until = case when h.parked then `+sqliteAlways+` else h.until end,
			parked_at  = case when h.parked then ?5 end,
			rejections   = o.rejections + case when h.refused then 1 else 0 end,
			last_error = h.cause
		from (select value ->> 'id' as id, value ->> 'until' as until, value ->> 'refused' as refused,
				value ->> 'parked' as parked, value ->> 'cause' as cause from json_each(?1)) as h
		where o.id = h.id and `+sqliteLeased,
		jsonText(rows), outboxName, o.holder, generation, o.sql.time(now))
	return err
}

// jsonText encodes what json_each takes apart. It is for values that JSON can express.
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
