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

// setMark writes the inbox mark for a reaction, inside tx, before anything else. It answers false if there is one
// already. A concurrent duplicate waits here for the first transaction, and goes on only if that rolled back.
func (d *dialect) insertInboxRecord(ctx context.Context, tx *gorm.DB, reaction, eventID string, now time.Time) (fresh bool, err error) {
	r, err := tx.Statement.ConnPool.ExecContext(ctx, d.insertRecord, reaction, eventID, d.time(now))
	if err != nil {
		return false, d.inboxError(err)
	}
	// A driver that was interrupted need not know whether it has done anything: "no row" would be taken for a duplicate.
	if err := ctx.Err(); err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// hasMark says whether the reaction has taken the event, without waiting for anyone.
func (d *dialect) hasInboxRecord(ctx context.Context, db *sql.DB, reaction, eventID string) (found bool, err error) {
	if err := db.QueryRowContext(ctx, d.recordExists, reaction, eventID).Scan(&found); err != nil {
		return false, d.inboxError(err)
	}
	return found, nil
}

func (d *dialect) inboxError(err error) error {
	err = fmt.Errorf("inbox: %w", err)
	if d.notMigrated(err) {
		return Unavailable(err)
	}
	return err
}

// cleaner forgets inbox marks that are older than the retention.
type cleaner struct {
	cfg       Config
	db        *sql.DB
	sql       *dialect
	writeLock writeLock
}

// step deletes one batch and answers how long to wait for the next one; 0: there is more to delete.
func (c cleaner) step(ctx context.Context) (wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, cleanupLimit)
	defer cancel()
	defer c.writeLock.acquire(ctx)()
	r, err := c.db.ExecContext(ctx, c.sql.purge, c.sql.time(c.cfg.Now().Add(-c.cfg.InboxRetention)), cleanupBatch)
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
