package events

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// contention says that the database made two transactions give way to each other. Neither is at fault: the
// transaction is worth repeating at once. serialization_failure, deadlock_detected, lock_not_available.
func contention(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "55P03")
}

// databaseAway says whether a failure means that the database cannot be used at the moment. What the server says
// decides; where it said nothing, a ping does. Codes: connection exceptions, insufficient resources, operator
// intervention (shutdown), read-only after a fail-over.
func databaseAway(ctx context.Context, db *sql.DB, err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") ||
			strings.HasPrefix(pg.Code, "57P") || pg.Code == "25006"
	}
	unreachable := ping(ctx, db)
	if s := db.Stats(); errors.Is(unreachable, context.DeadlineExceeded) && s.MaxOpenConnections > 0 && s.InUse >= s.MaxOpenConnections {
		return false // the ping got no connection: we are slow, not the database away
	}
	return unreachable != nil
}

// notMigrated says that the library's own tables are not there, or not as they should be, or not ours to use: the
// database is not ready for this program, and no event is to blame. undefined_table, undefined_column,
// insufficient_privilege.
func notMigrated(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "42703" || pg.Code == "42501")
}

func ping(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return db.PingContext(ctx)
}
