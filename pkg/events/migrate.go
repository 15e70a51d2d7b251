package events

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"gorm.io/gorm"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate creates or upgrades the library's own tables: outbox, outbox_lease, inbox, event_log, and
// events_migrations, which records the versions applied. It blocks while another instance migrates, and does
// nothing if everything is up to date. All versions are applied in one transaction or none is.
func Migrate(ctx context.Context, db *gorm.DB) error {
	d, err := newDialect(db)
	if err != nil {
		return fmt.Errorf("events: migrate: %w", err)
	}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return fmt.Errorf("events: migrate: %w", err)
	}
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for _, lock := range d.lockSchema {
			if err := tx.Exec(lock).Error; err != nil {
				return err
			}
		}
		if err := tx.Exec(d.schema(`create table if not exists events_migrations (
			version text primary key, applied_at timestamptz not null default current_timestamp)`)).Error; err != nil {
			return err
		}
		for _, file := range files {
			version := strings.TrimSuffix(strings.TrimPrefix(file, "migrations/"), ".sql")
			done := tx.Exec("insert into events_migrations (version) values (?) on conflict do nothing", version)
			if done.Error != nil {
				return done.Error
			}
			if done.RowsAffected == 0 {
				continue
			}
			if err := applyMigration(tx, d, file); err != nil {
				return fmt.Errorf("%s: %w", version, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("events: migrate: %w", err)
	}
	return nil
}

func applyMigration(tx *gorm.DB, d *dialect, file string) error {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	for statement := range strings.SplitSeq(string(text), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if err := tx.Exec(d.schema(statement)).Error; err != nil {
			return err
		}
	}
	return nil
}
