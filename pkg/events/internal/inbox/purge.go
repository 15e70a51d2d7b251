package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/retry"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/writelock"
)

const (
	// purgeBatch is the number of records that one statement deletes, so that it holds locks for a short time.
	purgeBatch = 1000
	// purgeTimeout bounds one statement.
	purgeTimeout = 30 * time.Second
)

// Purger deletes inbox records that are older than the retention.
type Purger struct {
	DB        *sql.DB
	Dialect   *dialect.Dialect
	WriteLock writelock.Lock
	Retention time.Duration
	Interval  time.Duration // between two runs
	Now       func() time.Time
	Logger    *slog.Logger
}

// Run purges until ctx ends.
func (p Purger) Run(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := p.purge(ctx)
		if err != nil && ctx.Err() == nil {
			p.Logger.WarnContext(ctx, "cannot purge inbox records", "error", err)
		}
		if !more || err != nil {
			_ = retry.Sleep(ctx, p.Interval)
		}
	}
}

// purge deletes one batch and reports whether there may be more to delete.
func (p Purger) purge(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	defer p.WriteLock.Acquire(ctx)()
	r, err := p.DB.ExecContext(ctx, p.Dialect.PurgeRecords, p.Dialect.Time(p.Now().Add(-p.Retention)), purgeBatch)
	if err != nil {
		return false, fmt.Errorf("inbox: %w", p.Dialect.Explain(err))
	}
	n, err := r.RowsAffected()
	return n == purgeBatch, err
}
