package httpapi

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// AuditEntries holds a service's own lists in the audit snapshot, by name.
type AuditEntries map[string]AuditList

// AuditList writes a JSON array.
type AuditList func(w io.Writer) error

// AuditRows returns the list of the rows that a query finds, each converted by line. It keeps one row at a time in memory.
func AuditRows[Row, Line any](query *gorm.DB, line func(Row) Line) AuditList {
	return func(w io.Writer) error {
		rows, err := query.Model(new(Row)).Rows()
		if err != nil {
			return err
		}
		defer rows.Close()
		encoder, separator := json.NewEncoder(w), "["
		for ; rows.Next(); separator = "," {
			var row Row
			if err := query.ScanRows(rows, &row); err != nil {
				return err
			}
			if _, err := io.WriteString(w, separator); err != nil {
				return err
			}
			if err := encoder.Encode(line(row)); err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		end := "]"
		if separator == "[" {
			end = "[]"
		}
		_, err = io.WriteString(w, end)
		return err
	}
}

// ServeAudit adds GET /ops/audit: an object with service, at, events (an audit.Snapshot) and entries. Entries returns the
// service's own lists, which are read in tx. The events are read in the same transaction, so that both are of one moment.
// The response is complete before the first byte is sent, so that a slow client does not keep the transaction open.
func (r *Router) ServeAudit(db *gorm.DB, bus *events.Bus, entries func(tx *gorm.DB) AuditEntries) {
	r.Ops.GET("/audit", Handle(func(c *gin.Context) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), auditTimeout)
		defer cancel()
		var text spool
		snapshot := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
		if err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			return r.writeAudit(ctx, tx, bus, entries, &text)
		}, snapshot); err != nil {
			return err
		}
		c.Header("Content-Type", "application/json; charset=utf-8")
		c.Status(http.StatusOK)
		return text.copyTo(c.Writer)
	}))
}

// auditTimeout bounds the reading of a snapshot. It is longer than that of other requests and shorter than the write
// timeout of the server.
const auditTimeout = 50 * time.Second

func (r *Router) writeAudit(ctx context.Context, tx *gorm.DB, bus *events.Bus, entries func(tx *gorm.DB) AuditEntries, w io.Writer) error {
	_, err := fmt.Fprintf(w, `{"service":%q,"at":%q,"events":`, r.service, time.Now().UTC().Format(time.RFC3339Nano))
	if err != nil {
		return err
	}
	if err := bus.WriteAudit(ctx, tx, w); err != nil {
		return err
	}
	if _, err := io.WriteString(w, `,"entries":{`); err != nil {
		return err
	}
	lists, separator := entries(tx), ""
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		if _, err := fmt.Fprintf(w, `%s%q:`, separator, name); err != nil {
			return err
		}
		if err := lists[name](w); err != nil {
			return fmt.Errorf("audit entries: %s: %w", name, err)
		}
		separator = ","
	}
	_, err = io.WriteString(w, "}}")
	return err
}

// spool buffers what is written in pieces, so that a growing response is never copied.
type spool struct{ pieces [][]byte }

const pieceSize = 64 << 10

func (s *spool) Write(p []byte) (n int, err error) {
	for n < len(p) {
		last := len(s.pieces) - 1
		if last < 0 || len(s.pieces[last]) == pieceSize {
			s.pieces = append(s.pieces, make([]byte, 0, pieceSize))
			continue
		}
		more := p[n:min(len(p), n+pieceSize-len(s.pieces[last]))]
		s.pieces[last] = append(s.pieces[last], more...)
		n += len(more)
	}
	return n, nil
}

func (s *spool) copyTo(w io.Writer) error {
	for _, piece := range s.pieces {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}
