package database

// This file has everything that is specific to SQLite. The caller chooses the driver, so this package imports none.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/pressly/goose/v3"
)

// upSQLite applies the migrations. SQLite has no lock that outlives a transaction and ends with its session, so two
// processes may start with the same file. A version can be recorded only once, in the file's transaction: the second
// process is rolled back, finds a newer version in the database, and retries.
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

// sqliteFiles holds migrations with the types that SQLite's drivers know.
type sqliteFiles struct{ fs.FS }

// SQLite stores a time as text. Its drivers convert it into a time.Time if they know the name of the column's type.
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
