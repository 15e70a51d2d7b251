package chassis

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"
)

// DatabaseOptions tune [OpenDatabase]. The zero value is ready to use.
type DatabaseOptions struct {
	// MaxConns bounds the pool. Default 20.
	MaxConns int
	// LockTimeout ends a statement that waits longer for a lock. Default 5 s.
	LockTimeout time.Duration
	// StatementTimeout ends a statement that runs longer. Default 30 s.
	StatementTimeout time.Duration
	// IdleInTransactionTimeout ends a session that holds a transaction open without using it. Default 1 min.
	IdleInTransactionTimeout time.Duration
	// SlowQuery is the duration from which a statement is logged at warn level. Default 500 ms.
	SlowQuery time.Duration
	// Logger receives notice of slow and failed statements, never with their values. Default slog.Default().
	Logger *slog.Logger
}

func (o DatabaseOptions) withDefaults() DatabaseOptions {
	if o.MaxConns <= 0 {
		o.MaxConns = 20
	}
	orDefault(&o.LockTimeout, 5*time.Second)
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

// OpenDatabase opens a pool of connections to the Postgres at url, and blocks until the database answers or ctx ends:
// services may start before it does. A database that answers with a refusal (unknown role, wrong password, no such
// database) is an error at once. [CloseDatabase] closes the pool.
//
// Writes outside an explicit transaction do not get one each, times are UTC, and statements inside a recorded trace
// become spans that show the statement without its values. Time-outs in the URL win over those in opts.
func OpenDatabase(ctx context.Context, url Secret, opts DatabaseOptions) (*gorm.DB, error) {
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
		return nil, errors.Join(fmt.Errorf("open database: %w", err), pool.Close())
	}
	db, err := gorm.Open(postgresDialector(pool), &gorm.Config{
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		NowFunc:                func() time.Time { return time.Now().UTC() },
		Logger:                 queryLogger{opts.Logger, opts.SlowQuery},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), pool.Close())
	}
	return db, nil
}

// CloseDatabase closes the pool behind db, after connections in use have been given back.
func CloseDatabase(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	return pool.Close()
}

// DatabaseCheck returns a readiness check that succeeds if the database answers.
func DatabaseCheck(db *gorm.DB) Check {
	return func(ctx context.Context) error {
		pool, err := db.DB()
		if err != nil {
			return err
		}
		return pool.PingContext(ctx)
	}
}

func waitForDatabase(ctx context.Context, pool *sql.DB, logger *slog.Logger) error {
	const firstDelay, maxDelay, quiet = 50 * time.Millisecond, 2 * time.Second, 5 * time.Second
	var lastLog time.Time
	for delay := firstDelay; ; delay = min(2*delay, maxDelay) {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := pool.PingContext(attempt)
		cancel()
		if err == nil || refusesLogin(err) {
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
