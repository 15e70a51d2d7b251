package httpapi_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/fstest"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	testservers.Main(m)
}

var things = fstest.MapFS{"migrations/00001_things.sql": {Data: []byte(
	"-- +goose Up\ncreate table things (name text not null, made_at timestamptz not null default now());")}}

var migrated = testservers.NewTemplate(func(ctx context.Context, url string) error {
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return err
	}
	return errors.Join(httpapi.Migrate(ctx, db), database.Migrate(ctx, db, "schema_migrations", things), database.Close(db))
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
