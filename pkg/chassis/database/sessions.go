package database

import (
	"context"
	"database/sql/driver"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/quadrille-dev/quadrille/pkg/events/dberror"
)

// sessions discards the sessions of a pool after a failover. A server that was demoted keeps its sessions and rejects
// their writes, and a load balancer does not move a connection that lives: without this, the pool would use them for an
// hour. The first statement that is rejected for such a reason discards all sessions that are as old as its own or older;
// new ones lead wherever the address, or target_session_attrs in the URL, leads now.
//
// It observes the statements as the tracer of the connections. The embedded tracer makes a span for each.
type sessions struct {
	pgx.QueryTracer
	discardBefore atomic.Int64 // Unix nanoseconds
}

// minSessionAge is the age until which a session is kept although the server rejects its writes, so that a database that
// remains read-only gets few new connections.
const minSessionAge = time.Second

// sessionOpened is the key of the time at which a session was opened, in Unix nanoseconds.
const sessionOpened = "opened"

func (s *sessions) opened(conn *pgx.Conn) {
	conn.PgConn().CustomData()[sessionOpened] = time.Now().UnixNano()
}

// TraceQueryEnd implements pgx.QueryTracer.
func (s *sessions) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	if data.Err != nil && failedOver(data.Err) {
		now := time.Now().UnixNano()
		if openedAt, _ := conn.PgConn().CustomData()[sessionOpened].(int64); now-openedAt >= int64(minSessionAge) {
			s.discardBefore.Store(now)
		}
	}
	s.QueryTracer.TraceQueryEnd(ctx, conn, data)
}

// reset is called before a session is used again.
func (s *sessions) reset(_ context.Context, conn *pgx.Conn) error {
	if openedAt, _ := conn.PgConn().CustomData()[sessionOpened].(int64); openedAt < s.discardBefore.Load() {
		return driver.ErrBadConn
	}
	return nil
}

// failedOver reports whether another session may succeed where this one cannot: it is read-only, or its server shuts down.
func failedOver(err error) bool {
	code := sqlState(err)
	return dberror.ReadOnly(err) || strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P")
}
