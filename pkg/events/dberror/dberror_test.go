package dberror_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/quadrille-dev/quadrille/pkg/events/dberror"
)

type sqliteError int

func (e sqliteError) Error() string { return fmt.Sprint("sqlite error ", int(e)) }
func (e sqliteError) Code() int     { return int(e) }

func TestKindOf(t *testing.T) {
	t.Parallel()
	pg := func(code string) error { return &pgconn.PgError{Code: code} }
	for _, c := range []struct {
		err  error
		want dberror.Kind
	}{
		{nil, dberror.Unknown},
		{errors.New("no shoes left"), dberror.Unknown},
		{pg("23505"), dberror.Rejected},
		{pg("42P01"), dberror.Rejected},
		{pg("0A000"), dberror.Rejected},
		{&pgconn.PgError{Code: "0A000", Message: "cached plan must not change result type"}, dberror.Aborted},
		{&pgconn.PgError{Code: "0A000", Message: "im Cache", Routine: "RevalidateCachedQuery"}, dberror.Aborted},
		{pg("40001"), dberror.Aborted},
		{pg("40P01"), dberror.Aborted},
		{pg("55P03"), dberror.Locked},
		{pg("57014"), dberror.TimedOut},
		{pg("25P03"), dberror.TimedOut},
		{pg("25006"), dberror.Unavailable},
		{pg("57P01"), dberror.Unavailable},
		{pg("57P02"), dberror.Unavailable},
		{pg("57P03"), dberror.Unavailable},
		{pg("08006"), dberror.Unavailable},
		{pg("08P01"), dberror.Unavailable},
		{pg("53300"), dberror.Unavailable},
		{driver.ErrBadConn, dberror.Unavailable},
		{&pgconn.ConnectError{Config: &pgconn.Config{}}, dberror.Unavailable},
		{io.ErrUnexpectedEOF, dberror.Disconnected},
		{&net.OpError{Op: "read", Err: errors.New("connection reset")}, dberror.Disconnected},
		{&net.OpError{Op: "read", Err: context.DeadlineExceeded}, dberror.Unknown},
		{sqliteError(5), dberror.Aborted},
		{sqliteError(8), dberror.Unavailable},
		{sqliteError(8 | 1<<8), dberror.Unavailable},
		{sqliteError(19), dberror.Rejected},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("read order: %w", err)
		}
		if got := dberror.KindOf(err); got != c.want {
			t.Errorf("%v is %v, want %v", c.err, got, c.want)
		}
	}
}
