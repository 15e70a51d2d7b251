package testservers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// operationTimeout bounds making or dropping one database or virtual host.
const operationTimeout = time.Minute

// Database returns the URL of a new, empty database, which is dropped, with whatever is still connected to it, when t
// ends. It blocks until the server is up.
func Database(t testing.TB) string {
	t.Helper()
	return newDatabase(t, "")
}

// A Template is a database that is prepared once per test binary and then cloned for every test that asks. Declare it
// as a variable of the test package:
//
//	var migrated = testservers.NewTemplate(migrate)
//
//	func TestX(t *testing.T) { url := migrated.Database(t) … }
type Template struct {
	prepare func(ctx context.Context, url string) error
	once    sync.Once
	name    string
	err     error
}

// NewTemplate returns a template that prepare fills, when the first test asks for it. prepare gets the URL of an empty
// database and closes the connections that it opens.
func NewTemplate(prepare func(ctx context.Context, url string) error) *Template {
	return &Template{prepare: prepare}
}

// Database returns the URL of a new clone of the template, which is dropped when t ends. An error of prepare fails
// every test that asks.
func (tpl *Template) Database(t testing.TB) string {
	t.Helper()
	tpl.once.Do(func() { tpl.name, tpl.err = tpl.make() })
	if tpl.err != nil {
		t.Fatalf("testservers: preparing the template: %v", tpl.err)
	}
	return newDatabase(t, tpl.name)
}

func (tpl *Template) make() (name string, err error) {
	server, err := databaseServer()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	name = newName()
	if err := administer(ctx, server, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	atEnd(func(ctx context.Context) error { return dropDatabase(ctx, server, name) })
	address, err := withDatabase(server, name)
	if err != nil {
		return "", err
	}
	if err := tpl.prepare(ctx, address); err != nil {
		return "", err
	}
	// A database that somebody is connected to cannot be cloned.
	return name, administer(ctx, server,
		"ALTER DATABASE "+name+" ALLOW_CONNECTIONS false",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
}

func newDatabase(t testing.TB, template string) string {
	t.Helper()
	server, err := databaseServer()
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), operationTimeout)
	defer cancel()
	name := newName()
	create := "CREATE DATABASE " + name
	if template != "" {
		create += " TEMPLATE " + template
	}
	if err := createDatabase(ctx, server, create); err != nil {
		t.Fatalf("testservers: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
		defer cancel()
		if err := dropDatabase(ctx, server, name); err != nil {
			t.Errorf("testservers: %v", err)
		}
	})
	address, err := withDatabase(server, name)
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	return address
}

// creating lets one database be made at a time: the server makes clones of one template one after the other anyway,
// and refuses when it has waited too long.
var creating sync.Mutex

// createDatabase retries while the source is in use: a session that was just ended takes a moment to go.
func createDatabase(ctx context.Context, server, create string) error {
	creating.Lock()
	defer creating.Unlock()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		err := administer(ctx, server, create)
		const objectInUse = "55006"
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != objectInUse {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-pause.C:
		}
	}
}

func dropDatabase(ctx context.Context, server, name string) error {
	return administer(ctx, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

// administer runs statements on the server's maintenance database, each in a transaction of its own.
func administer(ctx context.Context, server string, statements ...string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// sweepDatabases drops what tests of this machine left because they were killed.
func sweepDatabases(ctx context.Context, server string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE datname LIKE $1", namePrefix+"%")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if abandoned(name) {
			if err := dropDatabase(ctx, server, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// withDatabase is the server's URL with another database in it.
func withDatabase(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("%s must be a URL: postgres://user:password@host:port/database", envDatabase)
	}
	u.Path = "/" + name
	return u.String(), nil
}
