// Package dberror says what an error of Postgres or SQLite means for the work that met it. The event bus uses it to
// decide between a retry, a pause and a failed attempt; a service can use it for its own transactions and responses, so
// that there is one classification.
//
//	switch dberror.KindOf(err) {
//	case dberror.Unavailable: // respond 503, and try again in some seconds
//	case dberror.Aborted: // repeat the transaction
//	}
package dberror

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Kind is the meaning of an error.
type Kind int

const (
	// Unknown is an error that is not of the database, or nil.
	Unknown Kind = iota
	// Rejected is an error in the statement or its data: a repetition fails again.
	Rejected
	// Unavailable means that no statement, or no write, can succeed at the moment: the database cannot be reached, shuts
	// down, starts, is read-only, or has no resources left.
	Unavailable
	// Disconnected means that a network connection broke. It may be the database's or another one.
	Disconnected
	// Aborted means that the database rolled the transaction back although nothing is wrong with it: in favour of another
	// one, or because the tables have changed since the statement was prepared. A repetition at once can succeed.
	Aborted
	// Locked means that another transaction kept a lock for longer than the lock timeout. A repetition can succeed after a
	// pause.
	Locked
	// TimedOut means that the statement or the transaction took longer than its session permits.
	TimedOut
)

// KindOf returns the meaning of err.
func KindOf(err error) Kind {
	if pg, ok := find[*pgconn.PgError](err); ok {
		return postgresKind(err, pg)
	}
	if code, ok := sqliteCode(err); ok {
		return sqliteKind(code)
	}
	if _, ok := find[*pgconn.ConnectError](err); ok || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return Unavailable
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Unknown // a network error that the caller's context has caused
	}
	if _, ok := find[*net.OpError](err); ok || errors.Is(err, io.ErrUnexpectedEOF) {
		return Disconnected
	}
	return Unknown
}

// ReadOnly reports whether err says that the session of Postgres accepts no writes, as after a failover. Another session
// may reach a server that does.
func ReadOnly(err error) bool {
	pg, ok := find[*pgconn.PgError](err)
	return ok && pg.Code == readOnlyTransaction
}

const readOnlyTransaction = "25006"

func postgresKind(err error, pg *pgconn.PgError) Kind {
	// A login that is rejected affects every statement, whatever the reason is.
	if _, connecting := find[*pgconn.ConnectError](err); connecting {
		return Unavailable
	}
	switch pg.Code {
	case readOnlyTransaction, "58000", "58030": // system_error, io_error
		return Unavailable
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return Aborted
	case "0A000": // feature_not_supported, which has this meaning too
		if strings.Contains(pg.Message, "cached plan") || pg.Routine == "RevalidateCachedQuery" {
			return Aborted
		}
	case "55P03": // lock_not_available
		return Locked
	case "57014", "25P03", "25P04": // query_canceled, idle_in_transaction_session_timeout, transaction_timeout
		return TimedOut
	}
	switch {
	// Connection exceptions, insufficient resources, operator intervention.
	case strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "57P"):
		return Unavailable
	}
	return Rejected
}

// Primary result codes of SQLite.
const (
	sqliteBusy      = 5
	sqliteLocked    = 6
	sqliteReadOnly  = 8
	sqliteInterrupt = 9
	sqliteIOErr     = 10
	sqliteFull      = 13
	sqliteCantOpen  = 14
)

func sqliteKind(code int) Kind {
	switch code {
	case sqliteBusy, sqliteLocked: // after the busy_timeout of the connection
		return Aborted
	case sqliteInterrupt:
		return TimedOut
	case sqliteReadOnly, sqliteIOErr, sqliteFull, sqliteCantOpen:
		return Unavailable
	}
	return Rejected
}

// sqliteCode returns the primary result code of an error that has a method Code, as errors of modernc.org/sqlite and its
// derivatives have. The caller chooses the driver, so its type cannot be named here.
func sqliteCode(err error) (primary int, ok bool) {
	coded, ok := find[interface {
		error
		Code() int
	}](err)
	if !ok {
		return 0, false
	}
	return coded.Code() & 0xff, true
}

func find[E error](err error) (E, bool) {
	var e E
	return e, errors.As(err, &e)
}
