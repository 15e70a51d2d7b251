package servicetest

import (
	"context"
	"errors"
	"testing"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// maxConns bounds the pool of a test, since many tests share one server.
const maxConns = 10

// Template is a database with the tables of a service, from which the databases of tests are copied.
type Template struct{ databases *testservers.Template }

// NewTemplate returns a template with the tables of the service. It is prepared when the first test needs it.
func NewTemplate(service chassis.Service) Template {
	return Template{testservers.NewTemplate(func(ctx context.Context, url string) error {
		db, err := database.Open(ctx, url, database.Options{MaxConns: maxConns})
		if err != nil {
			return err
		}
		return errors.Join(service.Migrate(ctx, db), database.Close(db))
	})}
}

// Open returns a copy of the template. It is closed and dropped at the end of the test.
func (tp Template) Open(t *testing.T) *gorm.DB {
	t.Helper()
	return open(t, tp.databases.Database(t))
}

func open(t *testing.T, url string) *gorm.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url, database.Options{MaxConns: maxConns})
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
