package servicetest

import (
	"sync"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
)

// MigrateUnderLoad changes a table in the steps expand, migrate and contract while load runs in four goroutines: it adds a
// column, fills it from an old one, and drops the old one. Between the steps, load runs at least 20 times. Neither column
// is one that the service names. load gets a different number each time and fails the test if anything fails.
func MigrateUnderLoad(t *testing.T, db *gorm.DB, table string, load func(n int)) {
	t.Helper()
	apply := func(statement string) {
		t.Helper()
		if err := database.Transaction(t.Context(), db, func(tx *gorm.DB) error { return tx.Exec(statement).Error }); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	apply("alter table " + table + " add column old_note text not null default 'note'")
	var (
		runs     atomic.Int64
		stopping = make(chan struct{})
		workers  sync.WaitGroup
	)
	for range 4 {
		workers.Go(func() {
			for {
				select {
				case <-stopping:
					return
				default:
					load(int(runs.Add(1)))
				}
			}
		})
	}
	for _, statement := range []string{
		"",
		"alter table " + table + " add column new_note text",
		"update " + table + " set new_note = old_note where new_note is null",
		"alter table " + table + " drop column old_note",
	} {
		if statement != "" {
			apply(statement)
		}
		before := runs.Load()
		WaitUntil(t, "the service has worked with the table", func() bool { return runs.Load() >= before+20 })
	}
	close(stopping)
	workers.Wait()
}
