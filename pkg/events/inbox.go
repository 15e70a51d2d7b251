package events

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// cleanupBatch bounds how many marks one statement deletes, so that clean-up never holds locks for long.
const cleanupBatch = 1000

// cleanupLimit bounds one statement in time: a connection that has gone silent is given up.
const cleanupLimit = 30 * time.Second

// mark writes the inbox mark for a reaction, inside tx, before anything else. It answers false if there is one
// already. A concurrent duplicate waits here for the first transaction, and goes on only if that rolled back.
// The lock time-out that bounds the wait holds for the rest of tx: the reaction's own row locks are bounded too.
func mark(ctx context.Context, tx *gorm.DB, reaction, eventID string, now time.Time) (fresh bool, err error) {
	r, err := tx.Statement.ConnPool.ExecContext(ctx, `
		insert into inbox (reaction, event_id, processed_at)
		select $1, $2, $3 from (select set_config('lock_timeout', '5s', true)) as settings
		on conflict do nothing`, reaction, eventID, now)
	if err != nil {
		return false, inboxError(err)
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// marked says whether the reaction has taken the event, without waiting for anyone.
func marked(ctx context.Context, db *sql.DB, reaction, eventID string) (bool, error) {
	var found bool
	err := db.QueryRowContext(ctx,
		`select exists (select from inbox where reaction = $1 and event_id = $2)`, reaction, eventID).Scan(&found)
	if err != nil {
		return false, inboxError(err)
	}
	return found, nil
}

func inboxError(err error) error {
	err = fmt.Errorf("inbox: %w", err)
	if notMigrated(err) {
		return Unavailable(err)
	}
	return err
}

// cleaner forgets inbox marks that are older than the retention.
type cleaner struct {
	cfg Config
	db  *sql.DB
}

// step deletes one batch and answers how long to wait for the next one; 0: there is more to delete.
func (c cleaner) step(ctx context.Context) (wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, cleanupLimit)
	defer cancel()
	r, err := c.db.ExecContext(ctx, `
		delete from inbox where (reaction, event_id) in (
			select reaction, event_id from inbox where processed_at < $1 limit $2)`,
		c.cfg.Now().Add(-c.cfg.InboxRetention), cleanupBatch)
	if err != nil {
		return c.cfg.CleanupInterval, fmt.Errorf("inbox: clean-up: %w", err)
	}
	n, err := r.RowsAffected()
	if n == cleanupBatch {
		return 0, err
	}
	return c.cfg.CleanupInterval, err
}

func (c cleaner) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait, err := c.step(ctx)
		if err != nil && ctx.Err() == nil {
			c.cfg.Logger.WarnContext(ctx, "clean-up", "error", err)
		}
		_ = sleep(ctx, wait)
	}
}
