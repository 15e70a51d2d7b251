package events_test

import (
	"testing"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/testservers"
)

func TestMigrate_CanRunEverywhereAtOnce(t *testing.T) {
	t.Parallel()
	url := testservers.Database(t)
	together(8, func(int) {
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
		t.Errorf("%d versions recorded", n)
	}
}
