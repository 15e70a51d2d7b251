package events

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/schema"
)

// Migrate creates or upgrades the library's own tables: outbox, outbox_lease, inbox, event_log, and events_migrations,
// which records the applied versions. It applies all versions in one transaction and does nothing if there are none to
// apply. It blocks while another instance migrates. It
// fails if another session keeps a table locked for seconds (dberror.Locked): call it again then. See also Config.AutoMigrate.
func Migrate(ctx context.Context, db *gorm.DB) error {
	d, err := dialect.Find(db.Name())
	if err == nil {
		err = schema.Migrate(ctx, db, d)
	}
	if err != nil {
		return fmt.Errorf("events: migrate: %w", err)
	}
	return nil
}
