package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
)

// All services share one machine. The limit on requests leaves processors and connections to the handlers, so that orders
// progress while many clients poll them.
const (
	maxRequests = 8 // concurrent, per service
	maxConns    = 16
)

// openDatabase opens the SQLite file of one service, with the settings that database.OpenDialector asks for.
func openDatabase(dir, service string) (*gorm.DB, error) {
	file := filepath.Join(dir, service+".db")
	if err := createPrivate(file); err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	address, err := fileURL(file, "_txlock=immediate&"+
		"_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=foreign_keys(on)")
	if err != nil {
		return nil, err
	}
	db, err := database.OpenDialector(sqlite.Open(address), database.Options{MaxConns: maxConns})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	return db, nil
}

// createPrivate creates the file, unless it exists, readable by its owner only. SQLite gives the files beside it the same
// mode.
func createPrivate(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// endLease ends the outbox lease of an earlier process, so that this one does not wait for its expiry. The caller has locked
// the folder, so the earlier process has ended.
func endLease(ctx context.Context, db *gorm.DB) error {
	if !db.WithContext(ctx).Migrator().HasTable("outbox_lease") {
		return nil // this is the first start
	}
	return db.WithContext(ctx).Exec("update outbox_lease set expires_at = '0001-01-01 00:00:00.000000+00:00'").Error
}

// lockFolder locks the folder until unlock is called or the process ends. The lock is that of a SQLite file, so it works on
// every system.
func lockFolder(ctx context.Context, dir string) (unlock func() error, err error) {
	address, err := fileURL(filepath.Join(dir, "lock.db"), "_pragma=busy_timeout(0)&_pragma=journal_mode(memory)")
	if err != nil {
		return nil, err
	}
	pool, err := sql.Open(sqlite.DriverName, address)
	if err != nil {
		return nil, err
	}
	// The connection keeps the transaction open, and the pool keeps its only connection.
	pool.SetMaxOpenConns(1)
	if _, err := pool.ExecContext(ctx, "begin exclusive"); err != nil {
		var coded interface{ Code() int }
		if errors.As(err, &coded) && coded.Code()&0xff == 5 { // SQLITE_BUSY
			err = fmt.Errorf("the folder %s is in use by another process; choose another one with --data", dir)
		}
		return nil, errors.Join(err, pool.Close())
	}
	return pool.Close, nil
}

// fileURL returns the URL of a file for SQLite, on Windows as well.
func fileURL(file, query string) (string, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if file = filepath.ToSlash(file); !strings.HasPrefix(file, "/") {
		file = "/" + file
	}
	return (&url.URL{Scheme: "file", Path: file, RawQuery: query}).String(), nil
}
