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

// AuditEntries are a service's own books: lists by name.
type AuditEntries map[string]AuditList

// BookedList writes a JSON array.
type AuditList func(w io.Writer) error

// Booked is the list of the rows that a query finds, each turned into a line. It keeps one row at a time in memory.
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

// ServeBooks adds GET /ops/audit: an object with service, at, events (see events.Books) and entries, which is everything
// that the service holds and has done, in one snapshot. Entries reads the service's own books in tx, the transaction in
// which those of the bus are read as well, so that they agree. The text is complete before the first byte is sent, so
// that no transaction waits for whoever reads it.
func (r *Router) ServeAudit(db *gorm.DB, bus *events.Bus, entries func(tx *gorm.DB) AuditEntries) {
	r.Ops.GET("/audit", Handle(func(c *gin.Context) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), booksTime)
		defer cancel()
		var text spool
		snapshot := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
		if err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			return r.writeBooks(ctx, tx, bus, entries, &text)
		}, snapshot); err != nil {
			return err
		}
		c.Header("Content-Type", "application/json; charset=utf-8")
		c.Status(http.StatusOK)
		return text.copyTo(c.Writer)
	}))
}

// booksTime is how long reading the books may take: longer than other requests, shorter than the server's patience.
const booksTime = 50 * time.Second

func (r *Router) writeBooks(ctx context.Context, tx *gorm.DB, bus *events.Bus, entries func(tx *gorm.DB) AuditEntries, w io.Writer) error {
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
			return fmt.Errorf("books: %s: %w", name, err)
		}
		separator = ","
	}
	_, err = io.WriteString(w, "}}")
	return err
}

// spool keeps what is written in pieces, so that nothing has to be moved, and there twice, as it grows.
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
