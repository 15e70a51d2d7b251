package events

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"gorm.io/gorm"
)

// Books are what a bus holds and has done, for checks from outside: what is in no list here has been lost. See
// Bus.WriteBooks.
type AuditSnapshot struct {
	// Audited says whether everything that was published is listed; see Config.Audit.
	Audited bool `json:"audited"`
	// TakenSince is the time before which marks may have been forgotten; see Config.InboxRetention.
	ConsumedSince time.Time     `json:"consumedSince"`
	Outbox        []Unpublished `json:"outbox"`
	Published     []Published   `json:"published"`
	Consumed      []Consumed    `json:"consumed"`
}

// Unpublished is an event that the broker does not have yet.
type Unpublished struct {
	ID          string     `json:"id"`
	Type        string     `json:"type"`
	Subject     string     `json:"subject"`
	CreatedAt   time.Time  `json:"createdAt"`             // since when it is due
	AvailableAt *time.Time `json:"availableAt,omitempty"` // scheduled, and not due before
	ParkedAt    *time.Time `json:"parkedAt,omitempty"`    // waits for a person since then
	Rejections  int        `json:"rejections"`
	LastError   string     `json:"lastError,omitempty"`
}

// Published is an event that the broker has taken.
type Published struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Subject string    `json:"subject"`
	At      time.Time `json:"at"`
}

// Taken is a reaction's mark: it has done what the event called for.
type Consumed struct {
	Handler string    `json:"handler"`
	EventID string    `json:"eventId"`
	At      time.Time `json:"at"`
}

// WriteBooks reads all of them in tx and writes Books as JSON, row by row, so that what it keeps in memory does not grow
// with them. Read in one snapshot (repeatable read) they agree with each other, and with whatever else tx reads. They
// list every event that was ever published and taken: they are meant for tests, demonstrations and shops of some hundred
// thousand events. After an error, what was written is of no use.
func (b *Bus) WriteAudit(ctx context.Context, tx *gorm.DB, w io.Writer) error {
	head, err := json.Marshal(b.cfg.Now().Add(-b.cfg.InboxRetention).UTC())
	if err == nil {
		_, err = fmt.Fprintf(w, `{"audited":%t,"consumedSince":%s`, b.cfg.Audit, head)
	}
	tx = tx.WithContext(ctx)
	if err == nil {
		err = writeList[Unpublished](w, "outbox", tx.Raw(`select event_id as id, type, subject, created_at, available_at,
			parked_at, rejections, last_error from outbox order by id`))
	}
	if err == nil {
		err = writeList[Published](w, "published", tx.Raw(`select event_id as id, type, subject, published_at as at
			from event_log order by event_log.id`))
	}
	if err == nil {
		err = writeList[Consumed](w, "consumed", tx.Raw(`select handler, event_id, processed_at as at
			from inbox order by processed_at, event_id, handler`))
	}
	if err == nil {
		_, err = io.WriteString(w, "}")
	}
	if err != nil {
		return fmt.Errorf("events: books: %w", err)
	}
	return nil
}

// writeList writes the rows of a query as a member of an object that has members already.
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
