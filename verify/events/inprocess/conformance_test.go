package inprocess_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"math"
	"net/url"
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

	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/inprocess"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(victimFolder); folder != "" {
		fmt.Fprintln(os.Stderr, victim(folder))
		os.Exit(1)
	}
	testservers.Main(m)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestConformance(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { eventstest.Run(t, newEnvironment(sqliteFiles)) })
	t.Run("Postgres", func(t *testing.T) { eventstest.Run(t, newEnvironment(postgresDatabases)) })
}

// kind is one kind of database. It creates databases and opens them, directly or through a link.
type kind struct {
	make func(t testing.TB) string
	open func(t testing.TB, address string) gorm.Dialector
	link func(t testing.TB, address string) (gorm.Dialector, eventstest.Link)
}

var (
	sqliteFiles = kind{
		make: func(t testing.TB) string {
			return "file:" + filepath.Join(t.TempDir(), "service.db") +
				"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_txlock=immediate"
		},
		open: func(_ testing.TB, address string) gorm.Dialector { return sqlite.Open(address) },
		link: func(t testing.TB, address string) (gorm.Dialector, eventstest.Link) {
			plain, err := sql.Open(sqlite.DriverName, address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = plain.Close() }()
			l := newLink()
			return &sqlite.Dialector{Conn: sql.OpenDB(&connector{plain.Driver(), address, l})}, l
		},
	}
	postgresDatabases = kind{
		make: testservers.Database,
		open: func(_ testing.TB, address string) gorm.Dialector { return postgres.Open(address) },
		link: func(t testing.TB, address string) (gorm.Dialector, eventstest.Link) {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			proxy := eventstest.NewProxy(t, u.Host)
			u.Host = proxy.Addr()
			return postgres.Open(u.String()), proxy
		},
	}
)

// newEnvironment returns a constructor of environments with databases of one kind.
func newEnvironment(k kind) func(t *testing.T) eventstest.Environment {
	return func(t *testing.T) eventstest.Environment {
		broker := inprocess.NewBroker(inprocess.Config{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
		return &environment{t: t, kind: k, broker: broker, databases: map[string]string{}, handles: map[string]*gorm.DB{}}
	}
}

// environment is a broker with a database of one kind for each service.
type environment struct {
	t      *testing.T
	kind   kind
	broker *inprocess.Broker

	mu        sync.Mutex
	databases map[string]string
	handles   map[string]*gorm.DB // of the broker
}

func (e *environment) Declare(t testing.TB, topologies ...transport.Topology) {
	t.Helper()
	for _, topology := range topologies {
		if err := e.broker.Transport(e.handle(topology.Service)).Declare(t.Context(), topology); err != nil {
			t.Fatal(err)
		}
	}
}

func (e *environment) Process(t testing.TB, service string) eventstest.Process {
	t.Helper()
	dialector, link := e.kind.link(t, e.database(service))
	tr := remote{e.broker.Transport(e.handle(service)), newLink()}
	t.Cleanup(func() { _ = tr.Close() })
	return eventstest.Process{DB: open(t, dialector), Transport: tr, Database: link, Broker: tr.link}
}

func (e *environment) OpenDatabase(t testing.TB, service string) *gorm.DB {
	t.Helper()
	return open(t, e.kind.open(t, e.database(service)))
}

// Reject subscribes a service whose database rejects every event.
func (e *environment) Reject(t testing.TB, publisher, eventType string) {
	t.Helper()
	q := transport.Queue{Service: "full", Handler: "rejects", Publisher: publisher, Type: eventType}
	e.Declare(t, transport.Topology{Service: q.Service, Queues: []transport.Queue{q}})
	if err := e.handle(q.Service).Exec("create unique index only_one on stored_inbox ((1))").Error; err != nil {
		t.Fatal(err)
	}
	err := e.handle(q.Service).Exec(`insert into stored_inbox
		(handler, event_id, type, subject, body, received_at, due_at, attempts, last_error, dead_letter_reason)
		values ('rejects', '', '', '', '', '2026-01-01 00:00:00+00:00', '9999-01-01 00:00:00+00:00', 0, '', '')`).Error
	if err != nil {
		t.Fatal(err)
	}
}

func (e *environment) Depth(t testing.TB, q transport.Queue) int {
	t.Helper()
	queues, err := e.broker.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range queues {
		if state.Service == q.Service && state.Handler == q.Handler {
			return state.Waiting
		}
	}
	t.Fatalf("no queue %s", q)
	return 0
}

// Corrupt writes rows to the stored inbox.
func (e *environment) Corrupt(t testing.TB, q transport.Queue, valid func(id string) transport.Message) map[string]transport.Reason {
	t.Helper()
	db := e.handle(q.Service)
	largest := int64(math.MaxInt32)
	if db.Name() == "sqlite" {
		largest = math.MaxInt64
	}
	forged := strings.Repeat("forged \u2028 ", 10_000)
	want := map[string]transport.Reason{}
	for id, c := range map[string]struct {
		attempts     int64
		firstFailure any
		text         string
	}{
		"largest attempt":  {largest, nil, ""},
		"smallest attempt": {-largest, nil, ""},
		"forged columns":   {1, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), forged},
		"early failure":    {0, time.Time{}, forged},
	} {
		m := valid(id)
		err := db.Exec(`insert into stored_inbox (handler, event_id, type, subject, body, received_at, due_at, attempts, first_failed_at,
			last_error, trace_parent, dead_letter_reason) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			q.Handler, m.ID, m.Type+c.text, m.Subject, string(m.Body), m.Time, m.Time, c.attempts, c.firstFailure, c.text, c.text, c.text).Error
		if err != nil {
			t.Fatal(err)
		}
		want[id] = transport.ReasonFailed
	}
	return want
}

func (e *environment) DeadLetters(t testing.TB, q transport.Queue) []eventstest.DeadLetter {
	t.Helper()
	found, err := e.broker.DeadLetters(t.Context(), q.Service, q.Handler)
	if err != nil {
		t.Fatal(err)
	}
	var list []eventstest.DeadLetter
	for _, d := range found {
		list = append(list, eventstest.DeadLetter{Reason: d.Reason, Error: d.Error, Attempts: d.Attempts, Body: d.Body})
	}
	return list
}

func (e *environment) database(service string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.databases[service] == "" {
		e.databases[service] = e.kind.make(e.t)
	}
	return e.databases[service]
}

// handle returns the broker's handle on the database of a service, which no fault affects.
func (e *environment) handle(service string) *gorm.DB {
	address := e.database(service)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.handles[service] == nil {
		e.handles[service] = open(e.t, e.kind.open(e.t, address))
	}
	return e.handles[service]
}

func open(t testing.TB, dialector gorm.Dialector) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(dialector, &gorm.Config{SkipDefaultTransaction: true, Logger: logger.Discard})
	if err != nil {
		t.Fatal(fmt.Errorf("open: %w", err))
	}
	sqlDB, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	sqlDB.SetMaxOpenConns(20)
	sqlDB.SetMaxIdleConns(20)
	t.Cleanup(func() { _ = sqlDB.Close() })
	return db
}
