package inprocess

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// schema is written for Postgres; sqliteWords has what SQLite calls things.
var (
	schema = []string{
		`create table if not exists stored_inbox (
			id              bigint generated always as identity primary key,
			handler        text        not null,
			event_id        text        not null,
			type            text        not null,
			subject         text        not null,
			body            text        not null,
			received_at     timestamptz not null,
			due_at          timestamptz not null,
			attempts        integer     not null,
			first_failed_at timestamptz,
			last_error      text        not null,
			dead_lettered_at         timestamptz,
			dead_letter_reason     text        not null
		)`,
		`create index if not exists stored_inbox_next on stored_inbox (handler, id) where dead_lettered_at is null`,
		`create index if not exists stored_inbox_subject on stored_inbox (handler, subject, id) where dead_lettered_at is null`,
		`create index if not exists stored_inbox_failed on stored_inbox (handler, subject, id) where dead_lettered_at is null and attempts > 0`,
		`create index if not exists stored_inbox_again on stored_inbox (handler, due_at) where dead_lettered_at is null and attempts > 0`,
		`create index if not exists stored_inbox_dead on stored_inbox (handler, id) where dead_lettered_at is not null`,
		`create table if not exists stored_bindings (
			service  text not null,
			handler text not null,
			event    text not null,
			primary key (service, handler, event)
		)`,
	}
	sqliteWords = strings.NewReplacer(
		"bigint generated always as identity primary key", "integer primary key autoincrement",
		"timestamptz", "timestamp",
	)
)

// storedEvent is an event for one reaction.
type storedEvent struct {
	ID               int64 `gorm:"primaryKey"`
	Handler          string
	EventID          string
	Type             string
	Subject          string
	Body             string
	ReceivedAt       time.Time
	DueAt            time.Time // once it has failed; until then it is due whatever the clock says
	Attempts         int       // deliveries so far that count
	FirstFailedAt    *time.Time
	LastError        string
	TraceParent      string // of the last attempt
	DeadLetteredAt   *time.Time
	DeadLetterReason string
}

func (storedEvent) TableName() string { return "stored_inbox" }

func (e storedEvent) delivery() transport.Delivery {
	d := transport.Delivery{Body: []byte(e.Body), Attempt: e.Attempts + 1, LastError: e.LastError, TraceParent: e.TraceParent}
	if e.FirstFailedAt != nil {
		d.FirstFailedAt = *e.FirstFailedAt
	}
	return d
}

// binding says that a reaction gets the events of a name from the service in whose database it is written.
type binding struct {
	Service string
	Handler string
	Event   string // an event's type without its version
}

func (binding) TableName() string { return "stored_bindings" }

func newBinding(q transport.Queue) binding { return binding{q.Service, q.Handler, nameOf(q.Type)} }

// nameOf is an event's type without its version: a queue receives every version, and the bus looks at the exact one.
func nameOf(eventType string) string {
	if version := strings.LastIndex(eventType, ".v"); version >= 0 {
		return eventType[:version]
	}
	return eventType
}

// mailbox is the stored inbox of one service, and what it remembers about the readers of its own events. Times are
// written in UTC, since SQLite compares them as text.
type store struct{ db *gorm.DB }

// callLimit bounds one call of a database.
const callLimit = 15 * time.Second

// write runs f in a transaction. It counts as failed if the time for it ran out, whatever the driver says: one that is
// interrupted need not know whether it has done anything.
func (m store) write(ctx context.Context, f func(tx *gorm.DB) error) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return m.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := f(tx); err != nil {
			return err
		}
		return ctx.Err()
	})
}

func (m store) read(ctx context.Context, f func(db *gorm.DB) error) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return f(m.db.WithContext(ctx))
}

// prepare makes the tables.
func (m store) prepare(ctx context.Context) error {
	translate := func(s string) string { return s }
	switch name := m.db.Name(); name {
	case "postgres":
	case "sqlite":
		translate = sqliteWords.Replace
	default:
		return fmt.Errorf("database is %q: the stored inbox knows postgres and sqlite", name)
	}
	return m.write(ctx, func(tx *gorm.DB) error {
		for _, statement := range schema {
			if err := tx.Exec(translate(statement)).Error; err != nil {
				return err
			}
		}
		if tx.Migrator().HasColumn(&storedEvent{}, "trace_parent") {
			return nil
		}
		return tx.Exec("alter table stored_inbox add column trace_parent text not null default ''").Error
	})
}

// bind remembers readers.
func (m store) bind(ctx context.Context, list []binding) error {
	if len(list) == 0 {
		return nil
	}
	return m.write(ctx, func(tx *gorm.DB) error { return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(list).Error })
}

func (m store) unbind(ctx context.Context, b binding) error {
	return m.write(ctx, func(tx *gorm.DB) error { return tx.Where(b).Delete(&binding{}).Error })
}

func (m store) bindings(ctx context.Context) (list []binding, err error) {
	err = m.read(ctx, func(db *gorm.DB) error { return db.Order("service, handler, event").Find(&list).Error })
	return list, err
}

// store receives events, all or none.
func (m store) store(ctx context.Context, list []storedEvent) error {
	return m.write(ctx, func(tx *gorm.DB) error { return tx.CreateInBatches(list, 100).Error })
}

// due lists what can be handled now, the oldest first, page events at most: none whose subject is among the busy, and
// none behind one of its subject that failed and waits.
func (m store) due(ctx context.Context, reaction string, busy []string, now time.Time) (list []storedEvent, err error) {
	err = m.read(ctx, func(db *gorm.DB) error {
		query := db.Table("stored_inbox e").
			Where("handler = ? and dead_lettered_at is null and (attempts = 0 or due_at <= ?)", reaction, now.UTC()).
			Where(`not exists (select 1 from stored_inbox failed where failed.handler = e.handler
				and failed.subject = e.subject and failed.id < e.id and failed.attempts > 0 and failed.dead_lettered_at is null)`)
		if len(busy) > 0 {
			query = query.Where("subject not in ?", busy)
		}
		return query.Order("id").Limit(page).Find(&list).Error
	})
	return list, err
}

// page is the most that due lists.
const page = 64

// head is the oldest event of a subject, due or not.
func (m store) head(ctx context.Context, reaction, subject string) (list []storedEvent, err error) {
	err = m.read(ctx, func(db *gorm.DB) error {
		return db.Where("handler = ? and subject = ? and dead_lettered_at is null", reaction, subject).Order("id").Limit(1).Find(&list).Error
	})
	return list, err
}

// later is when the next event will be due that failed and is not yet; zero if there is none.
func (m store) later(ctx context.Context, reaction string, now time.Time) (due time.Time, err error) {
	var next []storedEvent
	err = m.read(ctx, func(db *gorm.DB) error {
		return db.Select("due_at").Where("handler = ? and dead_lettered_at is null and attempts > 0 and due_at > ?", reaction, now.UTC()).
			Order("due_at").Limit(1).Find(&next).Error
	})
	if len(next) > 0 {
		due = next[0].DueAt
	}
	return due, err
}

// settle carries out a verdict, except GiveBack, which leaves the row as it is.
func (m store) settle(ctx context.Context, e storedEvent, v transport.Outcome, now time.Time) error {
	now = now.UTC()
	if v.Action == transport.Ack {
		return m.write(ctx, func(tx *gorm.DB) error { return tx.Delete(&storedEvent{}, e.ID).Error })
	}
	failedAt := v.FirstFailedAt
	if failedAt.IsZero() {
		failedAt = now
	}
	changes := map[string]any{"attempts": e.Attempts + 1, "first_failed_at": failedAt.UTC(), "last_error": "", "trace_parent": v.TraceParent}
	if v.Err != nil {
		changes["last_error"] = plainText(v.Err.Error())
	}
	if v.Action == transport.Retry {
		changes["due_at"] = now.Add(v.Delay)
	} else {
		changes["dead_lettered_at"], changes["dead_letter_reason"] = now, string(v.Reason)
	}
	return m.write(ctx, func(tx *gorm.DB) error {
		return tx.Model(&storedEvent{}).Where("id = ?", e.ID).Updates(changes).Error
	})
}

// plainText is text as databases take it: Postgres wants valid UTF-8 without NUL.
func plainText(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}

// refused says that the database will not have this very row, ever: it breaks a constraint or a limit. The driver is
// the caller's choice, so its type cannot be named here.
func refused(err error) bool {
	var sqlite interface {
		error
		Code() int
	}
	if errors.As(err, &sqlite) {
		switch sqlite.Code() & 0xff {
		case 18, 19, 20: // too big, constraint, mismatch
			return true
		}
		return false
	}
	var postgres interface {
		error
		SQLState() string
	}
	if errors.As(err, &postgres) {
		// Data exceptions, integrity constraints, limits, and what a trigger raises.
		for _, class := range []string{"22", "23", "54", "P0001"} {
			if strings.HasPrefix(postgres.SQLState(), class) {
				return true
			}
		}
	}
	return false
}
