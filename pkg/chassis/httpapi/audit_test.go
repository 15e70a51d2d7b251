package httpapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/audit"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
)

func TestServeAudit(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), database.Options{})
	if err := events.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	bus, err := events.New(db, eventstest.NewTransport(), events.Config{Service: "sample"})
	if err != nil {
		t.Fatal(err)
	}
	fail := false
	router := httpapi.NewRouter(httpapi.RouterConfig{Service: "sample", OpsToken: "operators"})
	if err := db.Exec("insert into things (name) values ('b'), ('a')").Error; err != nil {
		t.Fatal(err)
	}
	type thing struct{ Name string }
	line := func(t thing) map[string]string { return map[string]string{"is": t.Name} }
	router.ServeAudit(db, bus, func(tx *gorm.DB) httpapi.AuditEntries {
		things := httpapi.AuditRows(tx.Table("things").Order("name"), line)
		return httpapi.AuditEntries{"none": httpapi.AuditRows(tx.Table("things").Where("name = 'c'"), line), "things": func(w io.Writer) error {
			if fail {
				return errors.New("no")
			}
			// A row that is committed after the beginning of the snapshot is not part of it.
			return errors.Join(db.Exec("insert into things (name) values ('late')").Error, things(w))
		}}
	})

	if rec := do(router, http.MethodGet, "/ops/audit", ""); rec.Code != http.StatusUnauthorized {
		t.Errorf("without the token: %d", rec.Code)
	}
	rec := do(router, http.MethodGet, "/ops/audit", "", "Authorization", "Bearer operators")
	var snapshot struct {
		Service string
		Events  *audit.Snapshot
		Entries map[string][]map[string]string
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &snapshot); err != nil || snapshot.Service != "sample" || snapshot.Events == nil {
		t.Errorf("%v: %d %s", err, rec.Code, rec.Body)
	}
	if diff := cmp.Diff(map[string][]map[string]string{"none": {}, "things": {{"is": "a"}, {"is": "b"}}}, snapshot.Entries); diff != "" {
		t.Error(diff)
	}
	fail = true
	wantProblem(t, do(router, http.MethodGet, "/ops/audit", "", "Authorization", "Bearer operators"), http.StatusInternalServerError, "internal")
}
