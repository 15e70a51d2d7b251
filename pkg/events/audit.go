package events

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/audit"
)

// WriteAudit reads the library's tables in tx and writes an [audit.Snapshot] as JSON, row by row, so that its memory use
// does not grow with the tables. If tx has a consistent snapshot (repeatable read), the lists agree with each other and
// with everything else that tx reads. The lists contain every event that was ever published and consumed, so WriteAudit is
// meant for tests, demonstrations and some hundred thousand events. After an error, the output is incomplete.
func (b *Bus) WriteAudit(ctx context.Context, tx *gorm.DB, w io.Writer) error {
	head, err := json.Marshal(b.cfg.Now().Add(-b.cfg.Inbox.Retention).UTC())
	if err == nil {
		_, err = fmt.Fprintf(w, `{"audited":%t,"consumedSince":%s`, b.cfg.Audit, head)
	}
	tx = tx.WithContext(ctx)
	if err == nil {
		err = writeList[audit.Unpublished](w, "outbox", tx.Raw(`select event_id as id, type, subject, created_at, available_at,
			parked_at, rejections, last_error from outbox order by id`))
	}
	if err == nil {
		err = writeList[audit.Published](w, "published", tx.Raw(`select event_id as id, type, subject, published_at as at
			from event_log order by event_log.id`))
	}
	if err == nil {
		err = writeList[audit.Consumed](w, "consumed", tx.Raw(`select handler, event_id, processed_at as at
			from inbox order by processed_at, event_id, handler`))
	}
	if err == nil {
		_, err = io.WriteString(w, "}")
	}
	if err != nil {
		return fmt.Errorf("events: write audit: %w", err)
	}
	return nil
}

// writeList writes the rows of a query as a member of a JSON object. It is not the first member.
func writeList[T any](w io.Writer, name string, query *gorm.DB) error {
	rows, err := query.Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	if _, err := fmt.Fprintf(w, `,%q:[`, name); err != nil {
		return err
	}
	encoder := json.NewEncoder(w)
	for separator := ""; rows.Next(); separator = "," {
		var row T
		if err := query.ScanRows(rows, &row); err != nil {
			return err
		}
		if _, err := io.WriteString(w, separator); err != nil {
			return err
		}
		if err := encoder.Encode(row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	_, err = io.WriteString(w, "]")
	return err
}
