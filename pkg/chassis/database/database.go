package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/dberror"
)

// Options tune [Open]. The zero value is ready to use.
type Options struct {
	// MaxConns bounds the pool. Default 20.
	MaxConns int
	// TransactionPooling is for a pooler between this pool and the server that assigns a session to each transaction, such as
	// PgBouncer with pool_mode = transaction. No timeouts are set then, because the sessions are shared: set them for the
	// role (alter role … set lock_timeout = '2s'). Statements are not prepared by name, unless the URL chooses another
	// default_query_exec_mode. [Migrate] needs a direct connection, see [WithMigrationRole].
	TransactionPooling bool
	// LockTimeout ends a statement that waits longer for a lock. It is short, because a session that waits holds a
	// connection of the pool, and longer than Postgres's deadlock_timeout, so that a deadlock is recognized. Default 2 s.
	LockTimeout time.Duration
	// StatementTimeout ends a statement that runs longer. Default 30 s.
	StatementTimeout time.Duration
	// IdleInTransactionTimeout ends a session that holds a transaction open without using it. Default 1 min.
	IdleInTransactionTimeout time.Duration
	// SlowQuery is the duration from which a statement is logged at warn level. Default 500 ms.
	SlowQuery time.Duration
	// Logger logs slow and failed statements, without their values. Default slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.MaxConns <= 0 {
		o.MaxConns = 20
	}
	orDefault(&o.LockTimeout, 2*time.Second)
	orDefault(&o.StatementTimeout, 30*time.Second)
	orDefault(&o.IdleInTransactionTimeout, time.Minute)
	orDefault(&o.SlowQuery, 500*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Open opens a pool of connections to the Postgres at url, and blocks until the database accepts a connection or
// ctx ends: a service can start before its database, and before the job that creates the database. What does not pass is an
// error at once: a rejected login, an untrusted certificate, a server without TLS, a setting that a pooler does not
// support. [Close] closes the pool.
//
// A write outside an explicit transaction does not get a transaction of its own. Times are UTC. A statement inside a
// recorded trace becomes a span that shows the statement without its values. Timeouts in the URL have precedence over
// those in opts.
func Open(ctx context.Context, url string, opts Options) (*gorm.DB, error) {
	opts = opts.withDefaults()
	pool, err := openPostgres(url, opts)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	pool.SetMaxOpenConns(opts.MaxConns)
	pool.SetMaxIdleConns(opts.MaxConns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(time.Hour)

	if err := waitForDatabase(ctx, pool, opts.Logger); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", explainPooler(err)), pool.Close())
	}
	db, err := newHandle(postgresDialector(pool), opts)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), pool.Close())
	}
	return db, nil
}

// OpenDialector returns a handle like that of [Open] on the dialector of the caller: Postgres, or SQLite through a driver
// whose errors have a method Code() int with SQLite's result code. The timeouts in opts are not used: the caller sets
// them on the connections. [Close] closes the pool.
//
// Services need these settings on every connection to a SQLite file, which belongs to one service alone:
//
//   - Transactions begin as BEGIN IMMEDIATE, unless they are read-only. That takes the place of row locks: a
//     writing transaction has the database to itself from its beginning to its end.
//   - busy_timeout of some seconds, for which other transactions wait.
//   - journal_mode WAL, so that readers see a snapshot and do not wait for writers, and synchronous FULL, so that
//     committed data survives a power failure.
//   - foreign_keys on.
//
// With a driver that takes pragmas in the address, such as github.com/glebarez/sqlite, that is
//
//	file:///…/order.db?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=foreign_keys(on)
func OpenDialector(dialector gorm.Dialector, opts Options) (*gorm.DB, error) {
	opts = opts.withDefaults()
	db, err := newHandle(dialector, opts)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	pool.SetMaxOpenConns(opts.MaxConns)
	pool.SetMaxIdleConns(opts.MaxConns)
	return db, nil
}

func newHandle(dialector gorm.Dialector, opts Options) (*gorm.DB, error) {
	db, err := gorm.Open(dialector, &gorm.Config{
		SkipDefaultTransaction: true,
		QueryFields:            true, // a statement with "select *" fails when a migration adds a column
		DisableAutomaticPing:   true,
		NowFunc:                func() time.Time { return time.Now().UTC() },
		Logger:                 queryLogger{opts.Logger, opts.SlowQuery},
	})
	if err != nil || onSQLite(db) {
		return db, err
	}
	return db, limitLockWaits(db)
}

func onSQLite(db *gorm.DB) bool { return db.Name() == "sqlite" }

// TryLock acquires a lock that ends with tx, and returns false at once if it is held elsewhere. On SQLite, tx already has
// the database to itself.
func TryLock(tx *gorm.DB, key int64) (got bool, err error) {
	if onSQLite(tx) {
		return true, nil
	}
	return tryAdvisoryLock(tx, key)
}

// Transaction runs f in a transaction. It repeats f at once, a few times, if the database aborted the transaction although
// nothing is wrong with it: after a deadlock or a serialization failure, or because a migration has changed a table, see
// [dberror.Aborted]. So f has no effect that a rollback does not undo, or one that a repetition replaces.
func Transaction(ctx context.Context, db *gorm.DB, f func(tx *gorm.DB) error) error {
	const repetitions = 5
	for try := 0; ; try++ {
		err := db.WithContext(ctx).Transaction(f)
		if dberror.KindOf(err) != dberror.Aborted || try == repetitions || ctx.Err() != nil {
			return err
		}
	}
}

// Close closes the pool behind db, once connections in use have been returned.
func Close(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	return pool.Close()
}

// Check returns a readiness check that succeeds if the database accepts a connection.
func Check(db *gorm.DB) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		pool, err := db.DB()
		if err != nil {
			return err
		}
		return pool.PingContext(ctx)
	}
}

func waitForDatabase(ctx context.Context, pool *sql.DB, logger *slog.Logger) error {
	const firstDelay, maxDelay, quiet = 50 * time.Millisecond, 2 * time.Second, time.Minute
	var lastLog time.Time
	for delay := firstDelay; ; delay = min(2*delay, maxDelay) {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := pool.PingContext(attempt)
		cancel()
		if err == nil || isPermanent(err) {
			return err
		}
		if time.Since(lastLog) >= quiet {
			logger.WarnContext(ctx, "waiting for the database", "error", err)
			lastLog = time.Now()
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w while waiting for it: %w", ctx.Err(), err)
		}
	}
}
