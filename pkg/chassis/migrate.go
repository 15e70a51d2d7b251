package chassis

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/gorm"
)

//go:embed migrations/*.sql
var ownMigrations embed.FS

var _ lock.SessionLocker = migrationLock{}

// Migrate brings the database up to the newest version: first the tables of this package, then those in files, a
// service's versioned SQL in goose's format (00001_name.sql with "-- +goose Up"), at the root of files or in its folder
// migrations. It does nothing if everything is up to date; files may be nil.
//
// Instances may call it at the same time: one works, the others block until it is done. Each file is one transaction
// and is recorded with it, in schema_migrations (chassis_migrations for this package), so a failed one can be corrected
// and run again. It needs a session of its own, hence a direct connection or a pooler in session mode.
func Migrate(ctx context.Context, db *gorm.DB, files fs.FS) error {
	if err := migrate(ctx, db, ownMigrations, "chassis_migrations"); err != nil {
		return err
	}
	if files == nil {
		return nil
	}
	return migrate(ctx, db, files, "schema_migrations")
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
	provider, err := goose.NewProvider(goose.DialectPostgres, pool, files,
		goose.WithTableName(table), goose.WithSessionLocker(migrationLock{}), goose.WithDisableGlobalRegistry(true))
	if errors.Is(err, goose.ErrNoMigrations) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		slog.InfoContext(ctx, "migrated", "file", r.Source.Path, "duration", r.Duration)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}
