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

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

// Database returns the URL of a new, empty database, which is dropped when t ends, with the connections that are still
// open. It blocks until the server is up.
func Database(t testing.TB) string {
	t.Helper()
	return newDatabase(t, "")
}

// A Template is a database that is prepared once per test binary and then cloned for each test. Declare it as a variable
// of the test package:
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

// NewTemplate returns a template that prepare fills at the first call of [Template.Database]. prepare gets the URL of an
// empty database and closes the connections that it opens.
func NewTemplate(prepare func(ctx context.Context, url string) error) *Template {
	return &Template{prepare: prepare}
}

// Database returns the URL of a new clone of the template, which is dropped when t ends. An error of prepare fails
// every test that calls it.
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
	// A database with connections cannot be cloned.
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
	cleanup(t, func(ctx context.Context) error { return dropDatabase(ctx, server, name) })
	if err := createDatabase(ctx, server, create); err != nil {
		t.Fatalf("testservers: %v", err)
	}
	address, err := withDatabase(server, name)
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	return address
}

// creating serialises the creation of databases: the server clones a template once at a time, and fails those that wait
// for too long.
var creating sync.Mutex

// createDatabase retries while the template is in use: a session that was just ended takes a moment to disappear.
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

// deleteAbandonedDatabases drops the databases that killed tests of this machine left.
func deleteAbandonedDatabases(ctx context.Context, server string) error {
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
	return deleteAbandoned(ctx, names, func(ctx context.Context, name string) error { return dropDatabase(ctx, server, name) })
}

// withDatabase returns the server's URL with another database in it.
func withDatabase(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("%s must be a URL: postgres://user:password@host:port/database", servers.DatabaseURL)
	}
	u.Path = "/" + name
	return u.String(), nil
}
