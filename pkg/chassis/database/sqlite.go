package database

// Everything that holds for SQLite only is in this file. The driver is the caller's choice, so none is imported.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

// SQLite's primary result codes, as far as they matter here.
const (
	sqliteBusy      = 5
	sqliteLocked    = 6
	sqliteReadOnly  = 8
	sqliteInterrupt = 9
	sqliteIOErr     = 10
	sqliteFull      = 13
	sqliteCantOpen  = 14
)

// sqliteCode finds SQLite's result code in an error of a driver that tells it with a method Code, as those do that are
// translated from SQLite's source. It is 0 for any other error.
func sqliteCode(err error) int {
	var coded interface {
		error
		Code() int
	}
	if !errors.As(err, &coded) {
		return 0
	}
	return coded.Code() & 0xff
}

func sqliteUnavailable(err error) bool {
	return slices.Contains([]int{sqliteReadOnly, sqliteIOErr, sqliteFull, sqliteCantOpen}, sqliteCode(err))
}

func sqliteIsBusy(err error) bool {
	return slices.Contains([]int{sqliteBusy, sqliteLocked, sqliteInterrupt}, sqliteCode(err))
}

// upSQLite migrates. SQLite has no lock that outlives a transaction and dies with its session, so two processes may
// begin with the same file. A version can be recorded only once, in the file's transaction: whoever comes second is
// rolled back, sees that somebody has gone on meanwhile, and looks again.
func upSQLite(ctx context.Context, pool *sql.DB, provider *goose.Provider, table string) error {
	once := fmt.Sprintf("create unique index if not exists %[1]s_once on %[1]s (version_id)", table)
	var failed error
	for last := int64(-1); ; {
		version, err := provider.GetDBVersion(ctx)
		if failed != nil && (err != nil || version == last) {
			return failed
		}
		if err == nil {
			_, err = pool.ExecContext(ctx, once)
		}
		if err == nil {
			err = up(ctx, provider)
		}
		if err == nil {
			return nil
		}
		failed, last = err, version
	}
}

// sqliteFiles are migrations as SQLite takes them.
type sqliteFiles struct{ fs.FS }

// A time is text to SQLite. Its drivers make a time.Time of it if the column's type has a name that they know.
var timestamptz = regexp.MustCompile(`(?i)\btimestamptz\b`)

// Open implements fs.FS.
func (f sqliteFiles) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil || path.Ext(name) != ".sql" {
		return file, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return sqliteFile{file, strings.NewReader(timestamptz.ReplaceAllString(string(text), "timestamp"))}, nil
}

type sqliteFile struct {
	fs.File
	text io.Reader
}

// Read implements fs.File.
func (f sqliteFile) Read(p []byte) (int, error) { return f.text.Read(p) }
