package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// things are migrations as a service has them.
var things = fstest.MapFS{
	"migrations/00001_things.sql": {Data: []byte("-- +goose Up\ncreate table things (name text not null, made_at timestamptz);")},
}

func open(t *testing.T, dir string) *gorm.DB {
	t.Helper()
	db, err := openDatabase(dir, "things")
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

func migrated(t *testing.T) *gorm.DB {
	t.Helper()
	db := open(t, t.TempDir())
	if err := (chassis.Service{Migrations: things}).Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

func count(t *testing.T, db *gorm.DB, table string) (n int64) {
	t.Helper()
	if err := db.Table(table).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenDatabase_Pragmas(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a space, 50% & #?")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000",
	} {
		var got string
		if err := db.Raw("pragma " + pragma).Scan(&got).Error; err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
		}
	}
}

// A transaction locks the database from its beginning, before it writes. Readers do not wait.
func TestOpenDatabase_TransactionsAreSerial(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	first := db.Begin()
	second := make(chan error, 1)
	go func() { second <- db.Transaction(func(tx *gorm.DB) error { return nil }) }()
	if n := count(t, db, "things"); n != 0 {
		t.Errorf("%d things", n)
	}
	select {
	case err := <-second:
		t.Errorf("the second transaction did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := first.Commit().Error; err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestMigrate_Concurrent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// What comes second would notice it neither by an existing table nor by a key.
	files := fstest.MapFS{
		"00001_counter.sql": {Data: []byte("-- +goose Up\ncreate table counter (n integer);")},
		"00002_count.sql":   {Data: []byte("-- +goose Up\ninsert into counter values (1);")},
	}
	open(t, dir) // one that makes the file
	var start, done sync.WaitGroup
	start.Add(1)
	for range 8 {
		db := open(t, dir)
		done.Go(func() {
			start.Wait()
			if err := (chassis.Service{Migrations: files}).Migrate(t.Context(), db); err != nil {
				t.Error(err)
			}
		})
	}
	start.Done()
	done.Wait()
	if n := count(t, open(t, dir), "counter"); n != 1 {
		t.Errorf("the second file was applied %d times", n)
	}
}

func TestMigrate_RepeatedAfterFailure(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	file := func(sql string) fstest.MapFS {
		return fstest.MapFS{"00001_a.sql": {Data: []byte("-- +goose Up\ncreate table a (n integer);\n" + sql)}}
	}
	if err := (chassis.Service{Migrations: file("create nonsense;")}).Migrate(t.Context(), db); err == nil {
		t.Fatal("nonsense was applied")
	}
	if err := (chassis.Service{Migrations: file("create table b (n integer);")}).Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
}

// A time keeps its microseconds, is read in UTC, and compares as times do, whatever its fraction.
func TestMigrate_Times(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	whole := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	times := []time.Time{whole, whole.Add(time.Microsecond), whole.Add(100 * time.Millisecond), whole.Add(120 * time.Millisecond), whole.Add(time.Second)}
	for i, at := range times {
		if err := db.Exec("insert into things (name, made_at) values (?, ?)", fmt.Sprint(i), at).Error; err != nil {
			t.Fatal(err)
		}
	}
	for i, at := range times {
		var read time.Time
		if err := db.Raw("select made_at from things where name = ?", fmt.Sprint(i)).Scan(&read).Error; err != nil || !read.Equal(at) {
			t.Errorf("%v is read as %v (%v)", at, read, err)
		}
		var earlier int
		if err := db.Raw("select count(*) from things where made_at < ?", at).Scan(&earlier).Error; err != nil || earlier != i {
			t.Errorf("%d are before %v, want %d (%v)", earlier, at, i, err)
		}
	}
}

// maker serves POST /api/v1/things, which makes one thing for each key.
func maker(db *gorm.DB, work func() error) http.Handler {
	router := httpapi.NewRouter(httpapi.RouterConfig{})
	router.API.POST("/things", httpapi.Handle(func(c *gin.Context) error {
		return httpapi.Idempotent(c, db, httpapi.IdempotencyOptions{}, func(_ context.Context, tx *gorm.DB) (httpapi.Reply, error) {
			if err := tx.Exec("insert into things (name) values ('x')").Error; err != nil {
				return httpapi.Reply{}, err
			}
			return httpapi.Reply{Status: http.StatusCreated, Body: gin.H{"name": "x"}}, work()
		})
	}))
	return router
}

func post(handler http.Handler, key string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, "/api/v1/things", strings.NewReader("{}"))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	return response
}

func TestIdempotent_Concurrent(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	handler := maker(db, func() error { return nil })
	var start, done sync.WaitGroup
	start.Add(1)
	for range 20 {
		done.Go(func() {
			start.Wait()
			if response := post(handler, "k"); response.Code != http.StatusCreated {
				t.Errorf("status %d %s", response.Code, response.Body)
			}
		})
	}
	start.Done()
	done.Wait()
	if n := count(t, db, "things"); n != 1 {
		t.Errorf("%d things were made", n)
	}
}

func TestIdempotent_RollsBackFailures(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	if response := post(maker(db, func() error { return errors.New("no") }), "k"); response.Code != http.StatusInternalServerError {
		t.Errorf("status %d", response.Code)
	}
	if n := count(t, db, "things") + count(t, db, "idempotency_keys"); n != 0 {
		t.Errorf("%d rows are left of a failure", n)
	}
	if response := post(maker(db, func() error { return nil }), "k"); response.Code != http.StatusCreated {
		t.Errorf("status %d", response.Code)
	}
}

func TestIdempotent_LockedDatabase(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	writer := db.Begin()
	defer writer.Rollback()
	response := post(maker(db, func() error { return nil }), "k")
	if response.Code != http.StatusServiceUnavailable || response.Header().Get("Retry-After") == "" {
		t.Errorf("status %d %v %s", response.Code, response.Header(), response.Body)
	}
}

func TestPruneIdempotencyKeys(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	handler := maker(db, func() error { return nil })
	for _, key := range []string{"old", "new"} {
		post(handler, key)
	}
	if err := db.Exec("update idempotency_keys set created_at = ? where key = 'old'", time.Now().UTC().Add(-25*time.Hour)).Error; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var pruning sync.WaitGroup
	pruning.Go(func() { _ = httpapi.PruneIdempotencyKeys(db)(ctx) }) // it always returns nil
	deadline := time.Now().Add(time.Minute)
	for count(t, db, "idempotency_keys") != 1 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond) //nolint:forbidigo // polls the database; pruning has no other sign
	}
	cancel()
	pruning.Wait()
	if response := post(handler, "new"); response.Header().Get("Idempotency-Replayed") != "true" || count(t, db, "things") != 2 {
		t.Errorf("the new key was deleted: %v", response.Header())
	}
}

func TestLockFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		unlock, err := lockFolder(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lockFolder(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("locked twice: %v", err)
		}
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
	}
}
