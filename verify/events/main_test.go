package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glebarez/sqlite"
	"go.uber.org/goleak"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// TestMain checks that no goroutine is left. The prepared statements of GORM keep one.
func TestMain(m *testing.M) {
	testservers.Main(m)
	if err := goleak.Find(goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// timeout bounds each wait of a test.
const timeout = 2 * time.Minute

var declared = []events.Declaration{
	{ETO: orderCreated{}, Publisher: "order", Mandatory: true},
	{ETO: orderSeen{}, Publisher: "order"},
	{ETO: foreign{}, Publisher: "inventory", Mandatory: true},
}

// orderCreated is mandatory, orderSeen is not. Both are published by the service order.
type orderCreated struct {
	OrderID string `json:"orderId"`
	Number  int    `json:"number"`
}

func (orderCreated) EventType() string { return "order.created.v1" }
func (e orderCreated) Subject() string { return e.OrderID }

type orderSeen struct {
	OrderID string `json:"orderId"`
}

func (orderSeen) EventType() string { return "order.seen.v1" }
func (e orderSeen) Subject() string { return e.OrderID }

// migrated is a database with the library's tables.
var migrated = testservers.NewTemplate(func(ctx context.Context, url string) error {
	db, err := gorm.Open(postgres.Open(url), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return err
	}
	sqlDB, err := db.DB()
	if err != nil {
		return err
	}
	return errors.Join(events.Migrate(ctx, db), sqlDB.Close())
})

// eachEmptyDatabase runs a test on an empty database of each kind that the library supports.
func eachEmptyDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, testservers.Database(t))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, sqliteFile(t))
	})
}

// eachDatabase runs a test on a database of each kind, with the library's tables.
func eachDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, migrated.Database(t))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		url := sqliteFile(t)
		if err := events.Migrate(t.Context(), open(t, url)); err != nil {
			t.Fatal(err)
		}
		test(t, url)
	})
}

// sqliteFile returns the address of a new SQLite database, with the settings that the package's documentation requires.
// It opens the file once: several connections that switch a new file to the write-ahead log at once get errors.
func sqliteFile(t testing.TB) string {
	t.Helper()
	url := "file:" + filepath.Join(t.TempDir(), "events.db") +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_txlock=immediate"
	open(t, url)
	return url
}

// fromNow returns the time after d as an SQL literal for each kind of database.
func fromNow(d time.Duration) string {
	return time.Now().Add(d).UTC().Format("'2006-01-02 15:04:05.000000+00:00'")
}

// database opens a handle on a new Postgres database with the library's tables.
func database(t testing.TB) *gorm.DB {
	t.Helper()
	return open(t, migrated.Database(t))
}

func open(t testing.TB, url string) *gorm.DB {
	t.Helper()
	dialector := postgres.Open(url)
	if strings.HasPrefix(url, "file:") {
		dialector = sqlite.Open(url)
	}
	db, err := gorm.Open(dialector, &gorm.Config{SkipDefaultTransaction: true, Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if sqlDB, err := db.DB(); err == nil {
			_ = sqlDB.Close()
		}
	})
	return db
}

// config returns the configuration of the service order, with short intervals.
func config() events.Config {
	return events.Config{
		Events:  declared,
		Service: "order", Relay: events.RelayConfig{PollInterval: 20 * time.Millisecond, LeaseTTL: 2 * time.Second},
		Logger: slog.New(slog.DiscardHandler),
	}
}

func newBus(t testing.TB, db *gorm.DB, tr transport.Transport, cfg events.Config, subs ...events.Subscription) *events.Bus {
	t.Helper()
	bus, err := events.New(db, tr, cfg, subs...)
	if err != nil {
		t.Fatal(err)
	}
	return bus
}

// start creates a bus and runs it until the test ends or stop is called.
func start(t testing.TB, db *gorm.DB, tr transport.Transport, cfg events.Config, subs ...events.Subscription) (stop func()) {
	t.Helper()
	return eventstest.Start(t, newBus(t, db, tr, cfg, subs...))
}

// publish publishes the events in one transaction.
func publish(t testing.TB, db *gorm.DB, etos ...events.ETO) {
	t.Helper()
	if err := db.Transaction(func(tx *gorm.DB) error {
		for _, e := range etos {
			if err := events.Publish(context.Background(), tx, e); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("timed out waiting for: %s", what)
		}
	}
}

// receive waits for a value.
func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(timeout):
		t.Fatalf("timed out waiting for: %s", what)
	}
	panic("unreachable")
}

func scan[T any](t testing.TB, db *gorm.DB, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.Raw(query, args...).Row().Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func exec(t testing.TB, db *gorm.DB, query string, args ...any) {
	t.Helper()
	if err := db.Exec(query, args...).Error; err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// outboxEmpty waits until the outbox has no rows.
func outboxEmpty(t testing.TB, db *gorm.DB) {
	t.Helper()
	eventually(t, "outbox empty", func() bool { return scan[int](t, db, "select count(*) from outbox") == 0 })
}

// numbers returns the numbers of the events that were published about a subject, in order.
func numbers(t testing.TB, tr *eventstest.Transport, subject string) []int {
	t.Helper()
	var list []int
	for _, e := range tr.Published() {
		if e.Subject == subject && e.Type == (orderCreated{}).EventType() {
			list = append(list, eventstest.Decode[orderCreated](t, e).Number)
		}
	}
	return list
}

// concurrently calls f n times at once, with 0 to n-1, and waits for all calls.
func concurrently(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			f(i)
		})
	}
	done.Wait()
}
