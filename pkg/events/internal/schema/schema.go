// Package schema creates and upgrades the library's own tables.
package schema

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate applies all versions that db does not have, in one transaction. A concurrent call waits for it.
func Migrate(ctx context.Context, db *gorm.DB, d *dialect.Dialect) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for _, lock := range d.LockSchema {
			if err := tx.Exec(lock).Error; err != nil {
				return err
			}
		}
		if err := tx.Exec(d.Schema(`create table if not exists events_migrations (
			version text primary key, applied_at timestamptz not null default current_timestamp)`)).Error; err != nil {
			return err
		}
		for _, file := range files {
			version := strings.TrimSuffix(strings.TrimPrefix(file, "migrations/"), ".sql")
			recorded := tx.Exec("insert into events_migrations (version) values (?) on conflict do nothing", version)
			if recorded.Error != nil {
				return recorded.Error
			}
			if recorded.RowsAffected == 0 {
				continue
			}
			if err := execute(tx, d, file); err != nil {
				return fmt.Errorf("%s: %w", version, err)
			}
		}
		return nil
	})
}

func execute(tx *gorm.DB, d *dialect.Dialect, file string) error {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	for statement := range strings.SplitSeq(string(text), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if err := tx.Exec(d.Schema(statement)).Error; err != nil {
			return err
		}
	}
	return nil
}
