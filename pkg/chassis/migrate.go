package chassis

import (
	"context"
	"fmt"
	"io/fs"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Migrate brings the tables of a service up to date: first those of pkg/events and of this package, then those in files,
// which may be nil. See [database.Migrate] for the format of the files. Several instances may call it at once.
func Migrate(ctx context.Context, db *gorm.DB, files fs.FS) error {
	if err := events.Migrate(ctx, db); err != nil {
		return fmt.Errorf("migrate events: %w", err)
	}
	if err := httpapi.Migrate(ctx, db); err != nil {
		return err
	}
	return database.Migrate(ctx, db, "schema_migrations", files)
}
