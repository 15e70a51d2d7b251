// Package dialect holds the SQL of the library's tables for Postgres and SQLite, and what the errors of the two
// databases mean.
package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/dberror"
)

// ErrNotMigrated means that the library's tables are missing, lack a column or may not be used by this database user.
var ErrNotMigrated = errors.New("the tables of package events are missing, not accessible or of an incompatible version: call events.Migrate or set Config.AutoMigrate")

// Dialect is the SQL of one kind of database. The arguments of a statement are the same in all dialects, in the same
// order; a time among them passes through Time, a list of ids through IDs, one of subjects through Subjects.
type Dialect struct {
	// Statements of the outbox.
	Insert, AcquireLease, RenewLease, ReleaseLease, Promote, Due, Heads, Stats string

	// Complete deletes rows while the lease is held and returns how many it deleted. If audit is set, it copies them to
	// event_log with now as the time of publication.
	Complete func(ctx context.Context, db *sql.DB, lease Lease, ids []int64, audit bool, now time.Time) (deleted int64, err error)
	// Block stores why rows were not published, while the lease is held.
	Block func(ctx context.Context, db *sql.DB, lease Lease, blocks []Block, now time.Time) error

	// Statements of the inbox.
	InsertRecord, RecordExists, PurgeRecords string

	// SingleWriter means that transactions which write exclude each other.
	SingleWriter bool

	Time     func(t time.Time) any
	IDs      func(ids []int64) any
	Subjects func(subjects []string) any

	// Schema translates a migration, which is written for Postgres. LockSchema makes concurrent migrations wait.
	Schema     func(statement string) string
	LockSchema []string

	notMigrated func(err error) bool
}

// Lease identifies the relay that may change rows.
type Lease struct {
	Name, Holder string
	Generation   int64
}

// Block is the state of an outbox row that the broker did not accept.
type Block struct {
	ID       int64
	Until    time.Time
	Rejected bool // increments the row's rejections
	Parked   bool // blocked until an operator releases it
	Cause    string
}

// Explain wraps an error about the library's tables in ErrNotMigrated and returns any other error unchanged.
func (d *Dialect) Explain(err error) error {
	if err == nil || !d.notMigrated(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotMigrated, err)
}

// Unavailable reports whether err means that the database cannot be used at the moment. If err is not an error of the
// database, it pings.
func (d *Dialect) Unavailable(ctx context.Context, db *sql.DB, err error) bool {
	switch dberror.KindOf(err) {
	case dberror.Unavailable:
		return true
	case dberror.Unknown, dberror.Disconnected:
	default:
		return false
	}
	pingErr := Ping(ctx, db)
	if s := db.Stats(); errors.Is(pingErr, context.DeadlineExceeded) && s.MaxOpenConnections > 0 && s.InUse >= s.MaxOpenConnections {
		return false // the pool is exhausted, which says nothing about the database
	}
	return pingErr != nil
}

// Ping checks the connection to the database. It blocks for two seconds at most.
func Ping(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return db.PingContext(ctx)
}

// Instant reads a time in whatever form a driver returns it. Null is the zero time.
type Instant struct{ time.Time }

// Scan implements sql.Scanner.
func (i *Instant) Scan(value any) (err error) {
	switch v := value.(type) {
	case nil:
		i.Time = time.Time{}
	case time.Time:
		i.Time = v
	case string:
		i.Time, err = time.Parse("2006-01-02 15:04:05.999999999-07:00", v)
	case []byte:
		return i.Scan(string(v))
	default:
		err = fmt.Errorf("cannot read a time from %T", value)
	}
	return err
}
