package database_test

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/events/dberror"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// makeReadOnly makes every session of the pool read-only, as a demoted server does that keeps its sessions. New sessions
// reach a server that accepts writes.
func makeReadOnly(t *testing.T, db *gorm.DB, sessions int) {
	t.Helper()
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	var conns []*sql.Conn
	for range sessions {
		conn, err := pool.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ExecContext(t.Context(), "set default_transaction_read_only = on"); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpen_ReplacesReadOnlySessions(t *testing.T) {
	t.Parallel()
	const sessions = 5
	db := open(t, migrated.Database(t), database.Options{MaxConns: sessions})
	makeReadOnly(t, db, sessions)
	insert := func() error { return db.Exec("insert into things (name) values ('fan')").Error }
	if err := insert(); dberror.KindOf(err) != dberror.Unavailable {
		t.Fatalf("a session that is read-only: %v", err)
	}
	waitUntil(t, "a write succeeds", func() bool { return insert() == nil })
	for range 2 * sessions {
		if err := insert(); err != nil {
			t.Fatalf("an old session is still used: %v", err)
		}
	}
}

func TestTransaction_RepeatedAfterAbort(t *testing.T) {
	t.Parallel()
	db := open(t, migrated.Database(t), database.Options{})
	if err := db.Exec("insert into things (name) values ('a'), ('b')").Error; err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	var both, done sync.WaitGroup
	both.Add(2)
	for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
		done.Go(func() {
			if err := database.Transaction(t.Context(), db, func(tx *gorm.DB) error {
				first := calls.Add(1) <= 2
				if err := tx.Exec("update things set made_at = now() where name = ?", names[0]).Error; err != nil {
					return err
				}
				if first { // each holds the row that the other one needs
					both.Done()
					both.Wait()
				}
				return tx.Exec("update things set made_at = now() where name = ?", names[1]).Error
			}); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if calls.Load() < 3 {
		t.Error("no deadlock: the test proved nothing")
	}
}

type thing struct {
	Name   string `gorm:"primaryKey"`
	MadeAt time.Time
}

// A query that names its columns has a plan that outlives a new column.
func TestOpen_ReadsWhileColumnIsAdded(t *testing.T) {
	t.Parallel()
	url := migrated.Database(t)
	db, owner := open(t, url, database.Options{MaxConns: 1}), open(t, url, database.Options{MaxConns: 1})
	read := func() error { return db.Where("name = ?", "fan").Find(&[]thing{}).Error }
	if err := read(); err != nil {
		t.Fatal(err)
	}
	if err := owner.Exec("alter table things add column weight integer").Error; err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Error(err)
	}
	// A column that changes its type still fails a prepared statement. In a transaction, that is repeated.
	inTransaction := func() error {
		return database.Transaction(t.Context(), db, func(tx *gorm.DB) error { return tx.Where("name = ?", "fan").Find(&[]thing{}).Error })
	}
	if err := owner.Exec("alter table things alter column made_at type timestamp").Error; err != nil {
		t.Fatal(err)
	}
	if err := inTransaction(); err != nil {
		t.Error(err)
	}
}

func TestOpen_LimitsWaitsForOneRow(t *testing.T) {
	t.Parallel()
	url := migrated.Database(t)
	db, person := open(t, url, database.Options{LockTimeout: 50 * time.Millisecond}), open(t, url, database.Options{})
	if err := db.Exec("insert into things (name) values ('fan'), ('violin')").Error; err != nil {
		t.Fatal(err)
	}
	lock := func(ctx context.Context, db *gorm.DB, name string) error {
		return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			return tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&thing{}, "name = ?", name).Error
		})
	}
	for range 2 {
		held := person.Begin()
		if err := held.Exec("select from things where name = 'fan' for update").Error; err != nil {
			t.Fatal(err)
		}
		if err := lock(t.Context(), db, "fan"); dberror.KindOf(err) != dberror.Locked || !strings.Contains(err.Error(), "lock timeout") {
			t.Errorf("the first query did not wait: %v", err)
		}
		for range 3 {
			if err := lock(t.Context(), db, "fan"); dberror.KindOf(err) != dberror.Locked || strings.Contains(err.Error(), "lock timeout") {
				t.Errorf("a later query waited: %v", err)
			}
		}
		if err := lock(t.Context(), db, "violin"); err != nil {
			t.Errorf("another row: %v", err)
		}
		if err := held.Rollback().Error; err != nil {
			t.Fatal(err)
		}
		if err := lock(t.Context(), db, "fan"); err != nil {
			t.Errorf("after the lock was released: %v", err)
		}
	}
}

func TestOpen_FollowsWritableServer(t *testing.T) {
	t.Parallel()
	first, second := testservers.OwnDatabase(t), testservers.OwnDatabase(t)
	demote := func(server *testservers.DatabaseServer, readOnly string) {
		admin := open(t, server.URL(), database.Options{MaxConns: 1})
		for _, statement := range []string{"set transaction_read_only = off", "alter system set default_transaction_read_only = " + readOnly, "select pg_reload_conf()"} {
			if err := admin.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
	}
	demote(second, "on")
	db := open(t, bothServers(t, first.URL(), second.URL()), database.Options{MaxConns: 3})
	server := func() (id string) {
		if err := db.Raw("select system_identifier::text from pg_control_system()").Scan(&id).Error; err != nil {
			t.Error(err)
		}
		return id
	}
	before := server()
	demote(second, "off")
	demote(first, "on")
	waitUntil(t, "writes reach the other server", func() bool {
		return db.Exec("create table if not exists written (n integer)").Error == nil && db.Exec("insert into written values (1)").Error == nil
	})
	if server() == before {
		t.Error("the sessions still lead to the first server")
	}
}

// bothServers returns a URL with both servers, which takes the one that accepts writes.
func bothServers(t *testing.T, first, second string) string {
	t.Helper()
	a, b := parse(t, first), parse(t, second)
	q := a.Query()
	q.Set("host", a.Hostname()+","+b.Hostname())
	q.Set("port", a.Port()+","+b.Port())
	q.Set("target_session_attrs", "read-write")
	a.Host, a.RawQuery = "", q.Encode()
	return a.String()
}
