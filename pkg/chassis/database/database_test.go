package database_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

var things = fstest.MapFS{"migrations/00001_things.sql": {Data: []byte(
	"-- +goose Up\ncreate table things (name text not null, made_at timestamptz not null default now());")}}

var migrated = testservers.NewTemplate(func(ctx context.Context, url string) error {
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return err
	}
	return errors.Join(database.Migrate(ctx, db, "schema_migrations", things), database.Close(db))
})

func open(t *testing.T, url string, opts database.Options) *gorm.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Close(db); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestOpen_SetsTimeoutsAndUTC(t *testing.T) {
	t.Parallel()
	db := open(t, testservers.Database(t), database.Options{LockTimeout: 1500 * time.Millisecond})
	for name, want := range map[string]string{
		"lock_timeout": "1500ms", "statement_timeout": "30s", "idle_in_transaction_session_timeout": "1min", "timezone": "UTC",
	} {
		var got string
		if err := db.Raw("select current_setting(?)", name).Scan(&got).Error; err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", name, got, want, err)
		}
	}
	var now time.Time
	if err := db.Raw("select now()").Scan(&now).Error; err != nil || now.Location() != time.UTC {
		t.Errorf("a time is read in %v (%v)", now.Location(), err)
	}
}

func TestOpen_WaitsForDatabase(t *testing.T) {
	t.Parallel()
	server := testservers.OwnDatabase(t)
	server.Stop(t)
	var log recorder
	opened := make(chan error, 1)
	go func() {
		db, err := database.Open(t.Context(), server.URL(), database.Options{Logger: slog.New(&log)})
		if err == nil {
			err = database.Close(db)
		}
		opened <- err
	}()
	log.waitFor(t, "waiting for the database")
	server.Start(t)
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestOpen_EndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var log recorder
	opened := make(chan error, 1)
	go func() {
		_, err := database.Open(ctx, "postgres://u:hunter2@127.0.0.1:1/x", database.Options{Logger: slog.New(&log)})
		opened <- err
	}()
	log.waitFor(t, "waiting for the database")
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the password is logged: %s", &log)
	}
}

func TestOpen_ReportsPermanentErrorsAtOnce(t *testing.T) {
	t.Parallel()
	u := parse(t, testservers.Database(t))
	u.User = url.UserPassword("nobody_of_this_name", "hunter2")
	if _, err := database.Open(t.Context(), u.String(), database.Options{}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the login of a role that does not exist: %v", err)
	}
}

func TestOpen_WaitsUntilDatabaseIsCreated(t *testing.T) {
	t.Parallel()
	server := testservers.OwnDatabase(t)
	u := parse(t, server.URL())
	u.Path = "/late"
	var log recorder
	opened := make(chan error, 1)
	go func() {
		db, err := database.Open(t.Context(), u.String(), database.Options{Logger: slog.New(&log)})
		if err == nil {
			err = database.Close(db)
		}
		opened <- err
	}()
	log.waitFor(t, `database \"late\" does not exist`)
	if err := open(t, server.URL(), database.Options{}).Exec("create database late").Error; err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestOpen_LogsStatementsWithoutValues(t *testing.T) {
	t.Parallel()
	var log recorder
	db := open(t, migrated.Database(t), database.Options{SlowQuery: time.Nanosecond, Logger: slog.New(&log)})
	if err := db.Exec("insert into things (name) values (?)", "hunter2").Error; err != nil {
		t.Fatal(err)
	}
	if err := db.Where("name = ?", "hunter2").Table("nothing").Find(&[]map[string]any{}).Error; err == nil {
		t.Fatal("a query on a missing table succeeded")
	}
	if got := log.String(); !strings.Contains(got, "insert into things") || strings.Contains(got, "hunter2") {
		t.Errorf("logged: %s", got)
	}
}

func TestOpen_TracesStatementsWithoutValues(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	db := open(t, migrated.Database(t), database.Options{})

	untraced := len(spans.Ended())
	if err := db.Exec("select 1").Error; err != nil || len(spans.Ended()) != untraced {
		t.Errorf("a statement outside a trace made a span (%v)", err)
	}
	ctx, span := provider.Tracer("test").Start(t.Context(), "request")
	if err := db.WithContext(ctx).Exec("insert into things (name) values (?)", "hunter2").Error; err != nil {
		t.Fatal(err)
	}
	span.End()
	found := slices.ContainsFunc(spans.Ended(), func(s sdktrace.ReadOnlySpan) bool {
		for _, a := range s.Attributes() {
			if strings.Contains(a.Value.String(), "hunter2") {
				t.Errorf("%s shows a value: %v", s.Name(), a)
			}
		}
		return s.Parent().SpanID() == span.SpanContext().SpanID()
	})
	if !found {
		t.Error("the statement is not a child of the request's span")
	}
}

// migrateEight migrates as eight instances that start at the same moment.
func migrateEight(t *testing.T, url string, files fstest.MapFS) {
	t.Helper()
	var start, done sync.WaitGroup
	start.Add(1)
	for range 8 {
		db := open(t, url, database.Options{MaxConns: 2})
		done.Go(func() {
			start.Wait()
			if err := database.Migrate(t.Context(), db, "schema_migrations", files); err != nil {
				t.Error(err)
			}
		})
	}
	start.Done()
	done.Wait()
}

func TestMigrate_ConcurrentCalls(t *testing.T) {
	t.Parallel()
	url := testservers.Database(t)
	files := fstest.MapFS{
		"00001_counter.sql": {Data: []byte("-- +goose Up\ncreate table counter (n int);")},
	}
	migrateEight(t, url, files)
	// The upgrade is slow, so that instances that do not wait for each other overlap.
	files["00002_count.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nselect pg_sleep(0.3);\ninsert into counter values (1);")}
	migrateEight(t, url, files)

	db := open(t, url, database.Options{MaxConns: 1})
	var counted, locks int
	if err := db.Raw("select count(*) from counter").Scan(&counted).Error; err != nil || counted != 1 {
		t.Errorf("the second file ran %d times (%v)", counted, err)
	}
	if err := db.Raw(`select count(*) from pg_locks where locktype = 'advisory'
		and database = (select oid from pg_database where datname = current_database())`).Scan(&locks).Error; err != nil || locks != 0 {
		t.Errorf("%d locks are left (%v)", locks, err)
	}
}

// Not parallel: it reads the default log.
func TestWithMigrationRole_WaitsForLock(t *testing.T) {
	url := migrated.Database(t)
	db, person := open(t, url, database.Options{LockTimeout: 300 * time.Millisecond}), open(t, url, database.Options{MaxConns: 1})
	var log recorder
	before := slog.Default()
	slog.SetDefault(slog.New(&log))
	t.Cleanup(func() { slog.SetDefault(before) })
	held := person.Begin()
	if err := held.Exec("select count(*) from things").Error; err != nil {
		t.Fatal(err)
	}
	var pid int
	if err := held.Raw("select pg_backend_pid()").Scan(&pid).Error; err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{"00002_weight.sql": {Data: []byte("-- +goose Up\nalter table things add column weight integer;")}}
	migrate := func(ctx context.Context) chan error {
		done := make(chan error, 1)
		go func() {
			done <- database.WithMigrationRole(ctx, "", db, func(ctx context.Context, db *gorm.DB) error {
				return database.Migrate(ctx, db, "other_migrations", files)
			})
		}()
		return done
	}
	stopped, stop := context.WithCancel(t.Context())
	done := migrate(stopped)
	log.waitFor(t, fmt.Sprintf(`"pid":%d`, pid))
	if strings.Contains(log.String(), "count(*)") {
		t.Error("the statement of the other session is logged")
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	done = migrate(t.Context())
	waitUntil(t, "it waits again", func() bool { return strings.Count(log.String(), "migration waits for a lock") >= 2 })
	if err := held.Rollback().Error; err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestMigrate_RepeatedAfterFailure(t *testing.T) {
	t.Parallel()
	db := open(t, testservers.Database(t), database.Options{})
	file := func(sql string) fstest.MapFS {
		return fstest.MapFS{"00001_a.sql": {Data: []byte("-- +goose Up\ncreate table a (n int);\n" + sql)}}
	}
	if err := database.Migrate(t.Context(), db, "schema_migrations", file("create nonsense;")); err == nil {
		t.Fatal("nonsense was applied")
	}
	if err := database.Migrate(t.Context(), db, "schema_migrations", file("create table b (n int);")); err != nil {
		t.Fatal(err)
	}
	if err := db.Exec("insert into b values (1)").Error; err != nil {
		t.Error(err)
	}
}

func TestMigrate_WithoutFiles(t *testing.T) {
	t.Parallel()
	db := open(t, testservers.Database(t), database.Options{})
	for _, files := range []fs.FS{nil, fstest.MapFS(nil), fstest.MapFS{}} {
		if err := database.Migrate(t.Context(), db, "schema_migrations", files); err != nil {
			t.Error(err)
		}
	}
}

func TestWithMigrationRole(t *testing.T) {
	t.Parallel()
	server := testservers.OwnDatabase(t)
	owner := server.URL()
	admin := open(t, owner, database.Options{MaxConns: 1})
	for _, statement := range []string{
		"create role serving login", "alter default privileges grant select, insert, update, delete on tables to serving",
	} {
		if err := admin.Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(owner)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("serving")
	db := open(t, u.String(), database.Options{})
	migrate := func(ctx context.Context, db *gorm.DB) error {
		return database.Migrate(ctx, db, "schema_migrations", things)
	}

	if err := database.WithMigrationRole(t.Context(), "", db, migrate); err == nil {
		t.Error("the role may change tables by itself")
	}
	for range 2 {
		if err := database.WithMigrationRole(t.Context(), owner, db, migrate); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Exec("insert into things (name) values ('fan')").Error; err != nil {
		t.Error(err)
	}
	if err := db.Exec("drop table things").Error; err == nil {
		t.Error("the role that serves has dropped a table")
	}
	waitUntil(t, "the owner is gone", func() bool {
		var others int
		err := admin.Raw(`select count(*) from pg_stat_activity
			where usename <> 'serving' and backend_type = 'client backend' and pid <> pg_backend_pid()`).Scan(&others).Error
		return err == nil && others == 0
	})

	owner = "postgres://owner:hunter2@%/"
	if err := database.WithMigrationRole(t.Context(), owner, db, migrate); err == nil || !strings.Contains(err.Error(), "MIGRATE_DATABASE_URL") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}
