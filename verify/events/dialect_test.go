package events_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// The times in the tables can be read and compared through GORM.
func TestDialect_StoresComparableTimes(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db := open(t, url)
		cfg := config()
		now := time.Date(2026, 2, 3, 4, 5, 6, 120_000_000, time.FixedZone("", 3600))
		cfg.Now = func() time.Time { return now }
		newBus(t, db, eventstest.NewTransport(), cfg)
		if err := db.Transaction(func(tx *gorm.DB) error {
			return events.Publish(t.Context(), tx, orderCreated{OrderID: "o"}, events.WithDelay(time.Microsecond))
		}); err != nil {
			t.Fatal(err)
		}
		var row struct {
			CreatedAt    time.Time
			AvailableAt  *time.Time
			BlockedUntil *time.Time
		}
		if err := db.Table("outbox").Where("created_at < available_at").Take(&row).Error; err != nil {
			t.Fatal(err)
		}
		if !row.CreatedAt.Equal(now) || row.AvailableAt == nil || !row.AvailableAt.Equal(now.Add(time.Microsecond)) || row.BlockedUntil != nil {
			t.Errorf("read %+v", row)
		}
	})
}

func TestDialect_PurgesOldInboxRecords(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db := open(t, url)
		for name, age := range map[string]time.Duration{"old": 8 * 24 * time.Hour, "new": 6 * 24 * time.Hour} {
			exec(t, db, `insert into inbox with recursive n (i) as (select 1 union all select i + 1 from n where i < 1500)
				select 'r', '`+name+`-' || i, `+fromNow(-age)+` from n`)
		}
		cfg := config()
		cfg.Inbox.ReplayWindow, cfg.Inbox.Retention = 24*time.Hour, 7*24*time.Hour
		cfg.Inbox.CleanupInterval = time.Hour
		start(t, db, eventstest.NewTransport(), cfg)
		eventually(t, "old inbox records purged", func() bool {
			return scan[int](t, db, "select count(*) from inbox where event_id like 'old%'") == 0
		})
		if n := scan[int](t, db, "select count(*) from inbox"); n != 1500 {
			t.Errorf("%d of 1500 new inbox records left", n)
		}
	})
}

// SQLite has one writer at a time. A handler that waits for longer than busy_timeout fails and is retried.
func TestSQLite_RetriesAfterLockTimeout(t *testing.T) {
	t.Parallel()
	url := sqliteFile(t)
	db, other, tr := open(t, url), open(t, url+"&_pragma=busy_timeout(1)"), eventstest.NewTransport()
	if err := events.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	createEffects(t, db)
	start(t, other, tr, config(), handle(func(_ context.Context, tx *gorm.DB, e events.Received[orderCreated]) error {
		return insertEffect(tx, e.Event.OrderID)
	}))
	writer := db.Begin()
	if err := insertEffect(writer, "slow"); err != nil {
		t.Fatal(err)
	}
	outcome := make(chan transport.Outcome, 1)
	go func() { outcome <- tr.Deliver(t, orderCreated{OrderID: "o"}) }()
	v := receive(t, outcome, "the outcome")
	if v.Action != transport.Retry || !strings.Contains(v.Err.Error(), "locked") {
		t.Errorf("outcome %+v while another transaction writes", v)
	}
	if err := writer.Commit().Error; err != nil {
		t.Fatal(err)
	}
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.Ack {
		t.Errorf("outcome %+v", v)
	}
}

// Without the write lock of the handle, a transaction that begins while another writes would fail because the database
// is locked.
func TestSQLite_SerializesWritersOfOneHandle(t *testing.T) {
	t.Parallel()
	db := open(t, sqliteFile(t)+"&_pragma=busy_timeout(0)")
	createEffects(t, db)
	newBus(t, db, eventstest.NewTransport(), config())
	concurrently(20, func(i int) {
		err := db.Transaction(func(tx *gorm.DB) error {
			if err := insertEffect(tx, "o"); err != nil {
				return err
			}
			if i%2 == 0 {
				return errNo
			}
			return nil
		})
		if i%2 == 1 && err != nil || i%2 == 0 && !errors.Is(err, errNo) {
			t.Error(err)
		}
	})
	if n := countEffects(t, db, "o"); n != 10 {
		t.Errorf("%d of 10 transactions committed", n)
	}

	// A single statement takes the write lock, too.
	writer, alone := db.Begin(), make(chan error, 1)
	go func() { alone <- insertEffect(db, "alone") }()
	select {
	case err := <-alone:
		t.Errorf("the statement did not wait for the write lock: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := writer.Commit().Error; err != nil {
		t.Fatal(err)
	}
	if err := receive(t, alone, "the statement"); err != nil {
		t.Error(err)
	}
}

// No event is dead-lettered because the database file cannot be written.
func TestSQLite_PausesWhileFileIsReadOnly(t *testing.T) {
	t.Parallel()
	url := sqliteFile(t)
	writable := open(t, url)
	if err := events.Migrate(t.Context(), writable); err != nil {
		t.Fatal(err)
	}
	tr, cfg := eventstest.NewTransport(), config()
	cfg.Handlers.PauseLimit = 50 * time.Millisecond
	start(t, open(t, url+"&_pragma=query_only(1)"), tr, cfg, handleWith(nil))
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.Requeue || !strings.Contains(v.Err.Error(), "readonly") {
		t.Errorf("outcome %+v", v)
	}
}
