package database

import (
	"context"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/dberror"
)

// untilUnlocked calls change until it meets no lock for longer than the lock timeout, and the database is available. A
// statement that waits for a table makes all later ones on that table wait too: it must give up soon and try again after
// a pause, in which they proceed. The log says who holds the lock. It returns when ctx ends.
func untilUnlocked(ctx context.Context, db *gorm.DB, change func(ctx context.Context, db *gorm.DB) error) error {
	const firstPause, maxPause = time.Second, 10 * time.Second
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		watching, stop := context.WithCancel(ctx)
		holders := make(chan []lockHolder, 1)
		go func() { holders <- watchLocks(watching, db) }()
		err := change(ctx, db)
		stop()
		found := <-holders
		switch dberror.KindOf(err) {
		case dberror.Locked:
			slog.WarnContext(ctx, "migration waits for a lock", "again_in", pause, "error", err, "held_by", found)
		case dberror.Aborted, dberror.Unavailable, dberror.Disconnected:
			slog.WarnContext(ctx, "migration waits for the database", "again_in", pause, "error", err)
		default:
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// lockHolder is a session that keeps a table locked. Its statement is left out, since that may have data of customers.
type lockHolder struct {
	Table       string    `json:"table"`
	PID         int       `gorm:"column:pid"  json:"pid"`
	User        string    `json:"user"`
	Application string    `json:"application"`
	State       string    `json:"state"`
	Since       time.Time `json:"since"`
}

// The locks are of the kinds that only changes of tables take. Some columns are null for a role without pg_read_all_stats.
const selectLockHolders = `
	select distinct coalesce(w.relation::regclass::text, '') as "table", h.pid, coalesce(h.usename, '') as "user",
		coalesce(h.application_name, '') as application, coalesce(h.state, '') as state,
		coalesce(h.xact_start, h.backend_start, 'epoch') as since
	from pg_locks w
	cross join lateral unnest(pg_blocking_pids(w.pid)) as b (pid)
	join pg_stat_activity h on h.pid = b.pid
	where not w.granted and w.locktype = 'relation' and w.mode in ('ShareLock', 'ShareRowExclusiveLock', 'AccessExclusiveLock')
		and w.database = (select oid from pg_database where datname = current_database())
	limit 10`

// watchLocks returns the last sessions that a change of a table has waited for, once ctx ends.
func watchLocks(ctx context.Context, db *gorm.DB) (last []lockHolder) {
	if onSQLite(db) {
		return nil
	}
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return last
		case <-ticker.C:
		}
		var found []lockHolder
		if err := db.WithContext(ctx).Raw(selectLockHolders).Scan(&found).Error; err == nil && len(found) > 0 {
			last = found
		}
	}
}
