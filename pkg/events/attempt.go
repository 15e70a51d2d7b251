package events

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/dberror"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/inbox"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// abortedRetries is how often a transaction that the database aborted, see [dberror.Aborted], is repeated before it counts
// as a failure.
const abortedRetries = 5

// commitGrace is how long a transaction may take beyond the handler's time-out.
const commitGrace = 15 * time.Second

// attempt is one call of a handler.
type attempt struct {
	env     transport.Envelope
	number  int // 1 for the first
	handler string
	timeout time.Duration

	db      *gorm.DB
	sqlDB   *sql.DB
	dialect *dialect.Dialect
	now     func() time.Time
}

// consumed reports whether the handler has consumed the event before.
func (a *attempt) consumed(ctx context.Context) (bool, error) {
	return inbox.Exists(ctx, a.sqlDB, a.dialect, a.handler, a.env.ID)
}

// transaction inserts the inbox record and runs f in the same transaction. It does nothing if the record exists.
func (a *attempt) transaction(ctx context.Context, f func(ctx context.Context, tx *gorm.DB) error) error {
	for try := 0; ; try++ {
		err := a.tryTransaction(ctx, f)
		if dberror.KindOf(err) != dberror.Aborted || try == abortedRetries {
			return err
		}
	}
}

func (a *attempt) tryTransaction(ctx context.Context, f func(ctx context.Context, tx *gorm.DB) error) error {
	// The transaction outlives the time-out, which must not interrupt a commit: its outcome would be unknown.
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.timeout+commitGrace)
	defer cancel()
	return a.db.WithContext(whole).Transaction(func(tx *gorm.DB) error {
		inserted, err := inbox.Insert(ctx, tx, a.dialect, a.handler, a.env.ID, a.now())
		if err != nil || !inserted {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(ctx, tx.WithContext(ctx)); err != nil {
			return err
		}
		return ctx.Err()
	})
}
