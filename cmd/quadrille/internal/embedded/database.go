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

// All services share the processors of one machine with everything else here. Requests are not to take all of them, nor
// all connections: orders are to get on while many ask how they are.
const (
	maxRequests = 8 // of one service at once
	maxConns    = 16
)

// openDatabase opens the SQLite file of one service, with the settings that database.OpenDialector asks for.
func openDatabase(dir, service string) (*gorm.DB, error) {
	file := filepath.Join(dir, service+".db")
	if err := keepPrivate(file); err != nil {
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

// keepPrivate makes the file, if it is not there, readable to its owner only, wherever the folder is. SQLite gives the
// files beside it the same mode.
func keepPrivate(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// endLease ends the lease under which an earlier process sent what is in the outbox, so that this one need not wait for
// it to run out. Only who has locked the folder knows that the other is gone.
func endLease(ctx context.Context, db *gorm.DB) error {
	if !db.WithContext(ctx).Migrator().HasTable("outbox_lease") {
		return nil // there was none
	}
	return db.WithContext(ctx).Exec("update outbox_lease set expires_at = '0001-01-01 00:00:00.000000+00:00'").Error
}

// lockFolder makes the folder this process' own until it ends, however it ends. The lock is one that SQLite takes on a
// file of its own, so it works on every system.
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
			err = fmt.Errorf("the folder %s is in use by another shop; give each its own with --data", dir)
		}
		return nil, errors.Join(err, pool.Close())
	}
	return pool.Close, nil
}

// fileURL is a file's address as SQLite reads it, on Windows as well.
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
