// Package inbox reads, writes and purges the inbox records: one for each event and handler that has consumed it.
package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
)

// Insert writes the inbox record of a handler inside tx. inserted is false if the record exists already. A concurrent
// duplicate blocks here until the first transaction ends, and continues only if that was rolled back.
func Insert(ctx context.Context, tx *gorm.DB, d *dialect.Dialect, handler, eventID string, now time.Time) (inserted bool, err error) {
	r, err := tx.Statement.ConnPool.ExecContext(ctx, d.InsertRecord, handler, eventID, d.Time(now))
	if err != nil {
		return false, fmt.Errorf("inbox: %w", d.Explain(err))
	}
	// An interrupted driver may report no row although it wrote nothing, which would look like a duplicate.
	if err := ctx.Err(); err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// Exists reports whether a handler has consumed an event. It takes no locks.
func Exists(ctx context.Context, db *sql.DB, d *dialect.Dialect, handler, eventID string) (exists bool, err error) {
	if err := db.QueryRowContext(ctx, d.RecordExists, handler, eventID).Scan(&exists); err != nil {
		return false, fmt.Errorf("inbox: %w", d.Explain(err))
	}
	return exists, nil
}
