package httpapi

import (
	"context"
	"embed"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate creates the table of the idempotency keys, or brings it up to date.
func Migrate(ctx context.Context, db *gorm.DB) error {
	return database.Migrate(ctx, db, "chassis_migrations", migrations)
}
