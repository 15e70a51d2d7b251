package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/gorm"
)

var _ lock.SessionLocker = migrationLock{}

// Migrate brings the database up to the newest version in files: versioned SQL in goose's format (00001_name.sql with
// "-- +goose Up"), at the root of files or in its folder migrations. It does nothing if everything is up to date; files
// may be nil. The table records which files were applied.
//
// Several instances can call it at the same time: one migrates, and each other call blocks until it is done. Each file is
// one transaction and is recorded with it, so that a file that failed can be corrected and run again. On Postgres it needs
// a session of its own, hence a direct connection or a pooler in session mode.
//
// The same files serve Postgres and SQLite if they keep to what both understand. Types can have the names that Postgres
// gives them: SQLite accepts any. Its drivers do not know timestamptz, which is replaced by timestamp for them.
func Migrate(ctx context.Context, db *gorm.DB, table string, files fs.FS) error {
	if files == nil {
		return nil
	}
	return migrate(ctx, db, files, table)
}

// WithMigrationRole calls change with a handle whose role may change tables, and blocks until it is done. It connects to
// url for that and closes the connection afterwards, so that the role of db, which serves requests, needs no permission
// beyond reading and writing rows. If url is empty, change gets db.
//
// If change meets a lock that another session holds, or the database becomes unavailable, it is called again after a pause
// until it succeeds or ctx ends. The log says who holds the lock.
func WithMigrationRole(ctx context.Context, url string, db *gorm.DB, change func(ctx context.Context, db *gorm.DB) error) error {
	if url == "" {
		return untilUnlocked(ctx, db, change)
	}
	owner, err := Open(ctx, url, Options{MaxConns: 2})
	if err != nil {
		return fmt.Errorf("MIGRATE_DATABASE_URL: %w", err)
	}
	return errors.Join(untilUnlocked(ctx, owner, change), Close(owner))
}

func migrate(ctx context.Context, db *gorm.DB, files fs.FS, table string) error {
	if info, err := fs.Stat(files, "migrations"); err == nil && info.IsDir() {
		if files, err = fs.Sub(files, "migrations"); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	options := []goose.ProviderOption{goose.WithTableName(table), goose.WithDisableGlobalRegistry(true)}
	dialect := goose.DialectPostgres
	if onSQLite(db) {
		dialect, files = goose.DialectSQLite3, sqliteFiles{files}
	} else {
		options = append(options, goose.WithSessionLocker(migrationLock{}))
	}
	provider, err := goose.NewProvider(dialect, pool, files, options...)
	if errors.Is(err, goose.ErrNoMigrations) {
		return nil
	}
	switch {
	case err != nil:
	case onSQLite(db):
		err = upSQLite(ctx, pool, provider, table)
	default:
		err = up(ctx, provider)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func up(ctx context.Context, provider *goose.Provider) error {
	results, err := provider.Up(ctx)
	for _, r := range results {
		slog.InfoContext(ctx, "migrated", "file", r.Source.Path, "duration", r.Duration)
	}
	return err
}
