package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// makeThing is the work of a handler. It inserts one row per call, so that the number of rows is the number of calls.
func makeThing(_ context.Context, tx *gorm.DB) (httpapi.Reply, error) {
	if err := tx.Exec("insert into things (name) values ('x')").Error; err != nil {
		return httpapi.Reply{}, err
	}
	return httpapi.Reply{Status: http.StatusCreated, Location: "/api/v1/things/x", Body: gin.H{"name": "x"}}, nil
}

func thingMaker(db *gorm.DB, opts httpapi.IdempotencyOptions, work func(context.Context, *gorm.DB) (httpapi.Reply, error)) *httpapi.Router {
	router := httpapi.NewRouter(httpapi.RouterConfig{})
	router.API.POST("/things", httpapi.Handle(func(c *gin.Context) error {
		return httpapi.Idempotent(c, db, opts, work)
	}))
	return router
}

func post(handler http.Handler, body string, header ...string) *httptest.ResponseRecorder {
	return do(handler, http.MethodPost, "/api/v1/things", body, header...)
}

func countThings(t *testing.T, db *gorm.DB) (n int64) {
	t.Helper()
	if err := db.Table("things").Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func TestIdempotent_ReplaysFirstResponse(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), database.Options{})
	router := thingMaker(db, httpapi.IdempotencyOptions{Required: true}, makeThing)

	first := post(router, `{"a":1}`, "Idempotency-Key", "k")
	if first.Code != http.StatusCreated || first.Header().Get("Idempotency-Replayed") != "" {
		t.Fatalf("got %d %v", first.Code, first.Header())
	}
	for _, key := range []string{"k", `"k"`} {
		again := post(router, `{"a":1}`, "Idempotency-Key", key)
		got := []string{fmt.Sprint(again.Code), again.Body.String(), again.Header().Get("Location"), again.Header().Get("Idempotency-Replayed")}
		want := []string{"201", first.Body.String(), "/api/v1/things/x", "true"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("key %s: %s", key, diff)
		}
	}
	if n := countThings(t, db); n != 1 {
		t.Errorf("%d things were made", n)
	}
}

func TestIdempotent_RejectsKeyOfOtherRequest(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), database.Options{})
	router := thingMaker(db, httpapi.IdempotencyOptions{}, makeThing)
	post(router, `{"a":1}`, "Idempotency-Key", "k")
	wantProblem(t, post(router, `{"a":2}`, "Idempotency-Key", "k"), http.StatusUnprocessableEntity, "idempotency-key-reused")
	if n := countThings(t, db); n != 1 {
		t.Errorf("%d things were made", n)
	}
}

func TestIdempotent_SeparatesTenantsAndScopes(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), database.Options{})
	here := thingMaker(db, httpapi.IdempotencyOptions{}, makeThing)
	there := thingMaker(db, httpapi.IdempotencyOptions{Scope: "elsewhere"}, makeThing)
	post(here, "1", "Idempotency-Key", "k", "X-Tenant-ID", "a")
	post(here, "2", "Idempotency-Key", "k", "X-Tenant-ID", "b")
	post(there, "3", "Idempotency-Key", "k", "X-Tenant-ID", "a")
	if n := countThings(t, db); n != 3 {
		t.Errorf("%d things were made", n)
	}
}

func TestIdempotent_RollsBackFailure(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), database.Options{})
	failures := map[string]func() (httpapi.Reply, error){
		"problem":     func() (httpapi.Reply, error) { return httpapi.Reply{}, httpapi.Conflict("no") },
		"error":       func() (httpapi.Reply, error) { return httpapi.Reply{}, errors.New("no") },
		"panic":       func() (httpapi.Reply, error) { panic("no") },
		"bad status":  func() (httpapi.Reply, error) { return httpapi.Reply{Status: http.StatusTeapot}, nil },
		"bad body":    func() (httpapi.Reply, error) { return httpapi.Reply{Status: http.StatusOK, Body: func() {}}, nil },
		"empty reply": func() (httpapi.Reply, error) { return httpapi.Reply{}, nil },
	}
	made := int64(0)
	for name, outcome := range failures {
		failing := true
		router := thingMaker(db, httpapi.IdempotencyOptions{}, func(ctx context.Context, tx *gorm.DB) (httpapi.Reply, error) {
			reply, err := makeThing(ctx, tx)
			if err == nil && failing {
				return outcome()
			}
			return reply, err
		})
		if rec := post(router, "", "Idempotency-Key", name); rec.Code < 400 {
			t.Errorf("%s: status %d", name, rec.Code)
		}
		if n := countThings(t, db); n != made {
			t.Errorf("%s: the work of a failed request is there", name)
		}
		failing = false
		made++
		if rec := post(router, "", "Idempotency-Key", name); rec.Code != http.StatusCreated || countThings(t, db) != made {
			t.Errorf("%s: the second request was not made: %d", name, rec.Code)
		}
	}
}

func TestIdempotent_RequiresValidKey(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), database.Options{})
	required := thingMaker(db, httpapi.IdempotencyOptions{Required: true}, makeThing)
	wantProblem(t, post(required, ""), http.StatusBadRequest, "idempotency-key-missing")
	for _, key := range []string{"", " ", `""`, strings.Repeat("k", 256), "ключ"} {
		wantProblem(t, post(required, "", "Idempotency-Key", key), http.StatusBadRequest, "bad-request")
	}
	wantProblem(t, post(required, "", "Idempotency-Key", "a", "Idempotency-Key", "b"), http.StatusBadRequest, "bad-request")
	if n := countThings(t, db); n != 0 {
		t.Errorf("%d things were made", n)
	}
	if rec := post(required, "", "Idempotency-Key", strings.Repeat("k", 255)); rec.Code != http.StatusCreated {
		t.Errorf("a key of 255 characters: %d", rec.Code)
	}
}

func TestIdempotent_WithoutKey(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), database.Options{})
	router := thingMaker(db, httpapi.IdempotencyOptions{}, makeThing)
	post(router, "")
	post(router, "")
	if n := countThings(t, db); n != 2 {
		t.Errorf("%d things were made", n)
	}
}

func TestIdempotent_ReportsRunningRequest(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), database.Options{})
	started, finish := make(chan struct{}), make(chan struct{})
	router := thingMaker(db, httpapi.IdempotencyOptions{}, func(ctx context.Context, tx *gorm.DB) (httpapi.Reply, error) {
		close(started)
		<-finish
		return makeThing(ctx, tx)
	})
	first := make(chan int, 1)
	go func() { first <- post(router, "", "Idempotency-Key", "k").Code }()
	<-started
	second := post(router, "", "Idempotency-Key", "k")
	wantProblem(t, second, http.StatusConflict, "idempotency-key-in-use")
	if second.Header().Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
	close(finish)
	if code := <-first; code != http.StatusCreated {
		t.Errorf("the first got %d", code)
	}
}

func TestIdempotent_ConcurrentRequests(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), database.Options{})
	router := thingMaker(db, httpapi.IdempotencyOptions{Required: true}, makeThing)
	var start, done sync.WaitGroup
	var fresh, replayed, running atomic.Int64
	start.Add(1)
	for range 20 {
		done.Go(func() {
			start.Wait()
			rec := post(router, `{"a":1}`, "Idempotency-Key", "k")
			switch {
			case rec.Code == http.StatusConflict:
				running.Add(1)
			case rec.Code == http.StatusCreated && rec.Header().Get("Idempotency-Replayed") == "true":
				replayed.Add(1)
			case rec.Code == http.StatusCreated:
				fresh.Add(1)
			default:
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
	}
	start.Done()
	done.Wait()
	if fresh.Load() != 1 || fresh.Load()+replayed.Load()+running.Load() != 20 || countThings(t, db) != 1 {
		t.Errorf("%d fresh, %d replayed, %d rejected, %d things", fresh.Load(), replayed.Load(), running.Load(), countThings(t, db))
	}
}

func TestPruneIdempotencyKeys(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), database.Options{})
	insert := `insert into idempotency_keys select 't', 's', ? || n, '', 200, '', '', now() - ?::interval from generate_series(1, ?) n`
	for _, keys := range []struct {
		prefix, age string
		n           int
	}{{"old", "25 hours", 2500}, {"new", "23 hours", 3}} {
		if err := db.Exec(insert, keys.prefix, keys.age, keys.n).Error; err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- httpapi.PruneIdempotencyKeys(db)(ctx) }()
	waitUntil(t, "old keys are gone", func() bool {
		var left int64
		if err := db.Table("idempotency_keys").Count(&left).Error; err != nil {
			t.Fatal(err)
		}
		return left <= 3
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	var left int64
	if err := db.Table("idempotency_keys").Where("key like 'new%'").Count(&left).Error; err != nil || left != 3 {
		t.Errorf("%d new keys are left (%v)", left, err)
	}
}
