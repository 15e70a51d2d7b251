package events

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// databaseAway says whether a failure means that the database cannot be used at the moment. What the server says
// decides; where it said nothing, a ping does.
func databaseAway(ctx context.Context, d *dialect, db *sql.DB, err error) bool {
	if away, told := d.away(err); told {
		return away
	}
	unreachable := ping(ctx, db)
	if s := db.Stats(); errors.Is(unreachable, context.DeadlineExceeded) && s.MaxOpenConnections > 0 && s.InUse >= s.MaxOpenConnections {
		return false // the ping got no connection: we are slow, not the database away
	}
	return unreachable != nil
}

func ping(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return db.PingContext(ctx)
}
