package events_test

import (
	"strings"
	"testing"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestMigrate_RunsConcurrently(t *testing.T) {
	t.Parallel()
	eachEmptyDatabase(t, func(t *testing.T, url string) {
		concurrently(8, func(int) {
			if err := events.Migrate(t.Context(), open(t, url)); err != nil {
				t.Error(err)
			}
		})
		db := open(t, url)
		for _, table := range []string{"outbox", "outbox_lease", "inbox", "event_log"} {
			if n := scan[int](t, db, "select count(*) from "+table); n != 0 {
				t.Errorf("%s has %d rows", table, n)
			}
		}
		if n := scan[int](t, db, "select count(*) from events_migrations"); n != 1 {
			t.Errorf("%d versions are recorded", n)
		}
	})
}

// The lock timeout of a session is meant for requests. Migrate waits for a migration that another instance runs even if
// that takes longer.
func TestMigrate_IgnoresLockTimeoutOfSession(t *testing.T) {
	t.Parallel()
	url := testservers.Database(t)
	other := open(t, url).Begin()
	defer other.Rollback()
	if err := other.Exec("select pg_advisory_xact_lock(?)", 0x0e7e47500001).Error; err != nil {
		t.Fatal(err)
	}
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	db := open(t, url+separator+"lock_timeout=1")
	done := make(chan error, 1)
	go func() { done <- events.Migrate(t.Context(), db) }()
	watch := open(t, url)
	eventually(t, "the migration waits", func() bool {
		return scan[int](t, watch, `select count(*) from pg_locks
			where locktype = 'advisory' and not granted
				and database = (select oid from pg_database where datname = current_database())`) == 1
	})
	// The server lets more than a millisecond pass: with the timeout of the session, Migrate would fail now.
	scan[int](t, watch, "select 1 from pg_sleep(0.05)")
	if err := other.Rollback().Error; err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
