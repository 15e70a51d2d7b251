package events_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/utils/tests"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func TestNew_RefusesADatabaseItDoesNotKnow(t *testing.T) {
	t.Parallel()
	db, err := gorm.Open(tests.DummyDialector{}, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"New":     func() error { _, err := events.New(db, eventstest.NewTransport(), config()); return err }(),
		"Migrate": events.Migrate(t.Context(), db),
	} {
		if err == nil || !strings.Contains(err.Error(), `database is "dummy"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever reads the tables through GORM finds times in them.
func TestDialect_StoresTimesThatReadAndCompareAsTimes(t *testing.T) {
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
			CreatedAt   time.Time
			AvailableAt *time.Time
			HeldUntil   *time.Time
		}
		if err := db.Table("outbox").Where("created_at < available_at").Take(&row).Error; err != nil {
			t.Fatal(err)
		}
		if !row.CreatedAt.Equal(now) || row.AvailableAt == nil || !row.AvailableAt.Equal(now.Add(time.Microsecond)) || row.HeldUntil != nil {
			t.Errorf("read %+v", row)
		}
	})
}

func TestDialect_ForgetsOldMarks(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db := open(t, url)
		for name, age := range map[string]time.Duration{"old": 8 * 24 * time.Hour, "new": 6 * 24 * time.Hour} {
			exec(t, db, `insert into inbox with recursive n (i) as (select 1 union all select i + 1 from n where i < 1500)
				select 'r', '`+name+`-' || i, `+in(-age)+` from n`)
		}
		cfg := config()
		cfg.ReplayWindow, cfg.InboxRetention = 24*time.Hour, 7*24*time.Hour
		cfg.CleanupInterval = time.Hour
		start(t, db, eventstest.NewTransport(), cfg)
		eventually(t, "old marks gone", func() bool {
			return scan[int](t, db, "select count(*) from inbox where event_id like 'old%'") == 0
		})
		if n := scan[int](t, db, "select count(*) from inbox"); n != 1500 {
			t.Errorf("%d of 1500 new marks left", n)
		}
	})
}

// One writer at a time. Waiting for it is free, within busy_timeout; this one is shorter than any patience.
func TestSQLite_SpendsAnAttemptOnlyWhenAWriterKeepsItOut(t *testing.T) {
	t.Parallel()
	url := sqliteFile(t)
	db, other, tr := open(t, url), open(t, url+"&_pragma=busy_timeout(1)"), eventstest.NewTransport()
	if err := events.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	effects(t, db)
	start(t, other, tr, config(), on(func(_ context.Context, tx *gorm.DB, e events.Received[orderCreated]) error {
		return apply(tx, e.Event.OrderID)
	}))
	writer := db.Begin()
	if err := apply(writer, "slow"); err != nil {
		t.Fatal(err)
	}
	verdict := make(chan transport.Outcome, 1)
	go func() { verdict <- tr.Deliver(t, orderCreated{OrderID: "o"}) }()
	v := receive(t, verdict, "the verdict")
	if v.Action != transport.Retry || !strings.Contains(v.Err.Error(), "locked") {
		t.Errorf("verdict %+v while another writes for long", v)
	}
	if err := writer.Commit().Error; err != nil {
		t.Fatal(err)
	}
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.Ack {
		t.Errorf("verdict %+v", v)
	}
}

// Without turns, whoever comes while another writes would be told at once that the database is locked.
func TestSQLite_WritersOfOneHandleTakeTurns(t *testing.T) {
	t.Parallel()
	db := open(t, sqliteFile(t)+"&_pragma=busy_timeout(0)")
	effects(t, db)
	newBus(t, db, eventstest.NewTransport(), config())
	together(20, func(i int) {
		err := db.Transaction(func(tx *gorm.DB) error {
			if err := apply(tx, "o"); err != nil {
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
	if n := applied(t, db, "o"); n != 10 {
		t.Errorf("%d of 10 transactions committed", n)
	}

	// A statement by itself is a writer as well.
	writer, alone := db.Begin(), make(chan error, 1)
	go func() { alone <- apply(db, "alone") }()
	select {
	case err := <-alone:
		t.Errorf("a statement did not wait for its turn: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := writer.Commit().Error; err != nil {
		t.Fatal(err)
	}
	if err := receive(t, alone, "the statement"); err != nil {
		t.Error(err)
	}
}

// A file that cannot be written is no event's fault.
func TestSQLite_PausesWhileTheFileIsReadOnly(t *testing.T) {
	t.Parallel()
	url := sqliteFile(t)
	writable := open(t, url)
	if err := events.Migrate(t.Context(), writable); err != nil {
		t.Fatal(err)
	}
	tr, cfg := eventstest.NewTransport(), config()
	cfg.PauseLimit = 50 * time.Millisecond
	start(t, open(t, url+"&_pragma=query_only(1)"), tr, cfg, returns(nil))
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.Requeue || !strings.Contains(v.Err.Error(), "readonly") {
		t.Errorf("verdict %+v", v)
	}
}
