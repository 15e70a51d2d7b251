package chassis_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
)

func TestServeBooks_ShowsOneSnapshotToOperators(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), chassis.DatabaseOptions{})
	if err := events.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	bus, err := events.New(db, eventstest.NewTransport(), events.Config{Service: "sample"})
	if err != nil {
		t.Fatal(err)
	}
	fail := false
	router := chassis.NewRouter(chassis.RouterConfig{Service: "sample", OpsToken: "operators"})
	router.ServeBooks(db, bus, func(tx *gorm.DB) (any, error) {
		if fail {
			return nil, errors.New("no")
		}
		// What others commit after the reading began is not part of it.
		var things int64
		err := errors.Join(db.Exec("insert into things (name) values ('late')").Error, tx.Table("things").Count(&things).Error)
		return map[string]int64{"things": things}, err
	})

	if rec := do(router, http.MethodGet, "/ops/books", ""); rec.Code != http.StatusUnauthorized {
		t.Errorf("without the token: %d", rec.Code)
	}
	rec := do(router, http.MethodGet, "/ops/books", "", "Authorization", "Bearer operators")
	var books struct {
		Service string
		Events  *events.Books
		Entries struct{ Things int }
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &books); err != nil || books.Service != "sample" || books.Events == nil || books.Entries.Things != 0 {
		t.Errorf("%v: %d %s", err, rec.Code, rec.Body)
	}
	fail = true
	wantProblem(t, do(router, http.MethodGet, "/ops/books", "", "Authorization", "Bearer operators"), http.StatusInternalServerError, "internal")
}
