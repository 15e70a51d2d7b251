package events

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Books are what a bus holds and has done, for checks from outside: what is in no list here has been lost.
type Books struct {
	// Audited says whether everything that was published is listed; see Config.Audit.
	Audited bool `json:"audited"`
	// TakenSince is the time before which marks may have been forgotten; see Config.InboxRetention.
	TakenSince time.Time     `json:"takenSince"`
	Outbox     []Unpublished `json:"outbox"`
	Published  []Published   `json:"published"`
	Taken      []Taken       `json:"taken"`
}

// Unpublished is an event that the broker does not have yet.
type Unpublished struct {
	ID          string     `json:"id"`
	Type        string     `json:"type"`
	Subject     string     `json:"subject"`
	CreatedAt   time.Time  `json:"createdAt"`             // since when it is due
	AvailableAt *time.Time `json:"availableAt,omitempty"` // scheduled, and not due before
	ParkedAt    *time.Time `json:"parkedAt,omitempty"`    // waits for a person since then
	Refusals    int        `json:"refusals"`
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
type Taken struct {
	Reaction string    `json:"reaction"`
	EventID  string    `json:"eventId"`
	At       time.Time `json:"at"`
}

// Books reads all of them in tx. Read in one snapshot (repeatable read) they agree with each other, and with whatever
// else tx reads. The answer grows with the number of events that were ever published and taken: it is meant for
// tests, demonstrations and shops of some hundred thousand events.
func (b *Bus) Books(ctx context.Context, tx *gorm.DB) (Books, error) {
	books := Books{
		Audited: b.cfg.Audit, TakenSince: b.cfg.Now().Add(-b.cfg.InboxRetention).UTC(),
		Outbox: []Unpublished{}, Published: []Published{}, Taken: []Taken{},
	}
	for _, list := range []struct {
		rows any
		sql  string
	}{
		{&books.Outbox, `select event_id as id, type, subject, created_at, available_at, parked_at, refusals, last_error
			from outbox order by id`},
		{&books.Published, `select event_id as id, type, subject, published_at as at from event_log order by event_log.id`},
		{&books.Taken, `select reaction, event_id, processed_at as at from inbox order by processed_at, event_id, reaction`},
	} {
		if err := tx.WithContext(ctx).Raw(list.sql).Scan(list.rows).Error; err != nil {
			return Books{}, fmt.Errorf("events: books: %w", err)
		}
	}
	return books, nil
}
