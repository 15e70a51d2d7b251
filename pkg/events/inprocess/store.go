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

// schema is written for Postgres; toSQLite translates it.
var (
	schema = []string{
		`create table if not exists stored_inbox (
			id                 bigint generated always as identity primary key,
			handler            text        not null,
			event_id           text        not null,
			type               text        not null,
			subject            text        not null,
			body               text        not null,
			received_at        timestamptz not null,
			due_at             timestamptz not null,
			attempts           integer     not null,
			first_failed_at    timestamptz,
			last_error         text        not null,
			trace_parent       text        not null default '',
			dead_lettered_at   timestamptz,
			dead_letter_reason text        not null
		)`,
		`create index if not exists stored_inbox_next on stored_inbox (handler, id) where dead_lettered_at is null`,
		`create index if not exists stored_inbox_subject on stored_inbox (handler, subject, id) where dead_lettered_at is null`,
		`create index if not exists stored_inbox_waiting on stored_inbox (handler, subject, id) where dead_lettered_at is null and first_failed_at is not null`,
		`create index if not exists stored_inbox_due on stored_inbox (handler, due_at) where dead_lettered_at is null and first_failed_at is not null`,
		`drop index if exists stored_inbox_failed`, // of earlier versions
		`drop index if exists stored_inbox_retry`,
		`create index if not exists stored_inbox_dead_letters on stored_inbox (handler, id) where dead_lettered_at is not null`,
		`create table if not exists stored_bindings (
			service text not null,
			handler text not null,
			event   text not null,
			primary key (service, handler, event)
		)`,
	}
	toSQLite = strings.NewReplacer(
		"bigint generated always as identity primary key", "integer primary key autoincrement",
		"timestamptz", "timestamp",
	)
)

// storedEvent is an event for one handler.
type storedEvent struct {
	ID               int64 `gorm:"primaryKey"`
	Handler          string
	EventID          string
	Type             string
	Subject          string
	Body             string
	ReceivedAt       time.Time
	DueAt            time.Time // ignored before the first attempt, when the event is due at once
	Attempts         int       // that count, so far
	FirstFailedAt    *time.Time
	LastError        string
	TraceParent      string // of the last attempt
	DeadLetteredAt   *time.Time
	DeadLetterReason string
}

func (storedEvent) TableName() string { return "stored_inbox" }

func (e storedEvent) delivery() transport.Delivery {
	d := transport.Delivery{Body: []byte(e.Body), Attempt: e.attempts() + 1, LastError: e.LastError, TraceParent: e.TraceParent}
	if e.FirstFailedAt != nil {
		d.FirstFailedAt = *e.FirstFailedAt
	}
	return d
}

// attempts returns the attempts so far. Another program may have written the row.
func (e storedEvent) attempts() int { return min(max(0, e.Attempts), transport.MaxAttempts) }

// binding routes the events of a name to a handler. It is stored in the database of the service that publishes them.
type binding struct {
	Service string
	Handler string
	Event   string // an event's type without its version
}

func (binding) TableName() string { return "stored_bindings" }

func newBinding(q transport.Queue) binding { return binding{q.Service, q.Handler, q.EventName()} }

// store is the database of one service: its stored inbox and the bindings to its own events. Times are written in UTC,
// because SQLite compares them as text.
type store struct{ db *gorm.DB }

const (
	// callTimeout bounds one call of a database.
	callTimeout = 15 * time.Second

	// pageSize is the most events that due returns.
	pageSize = 64
)

// write runs f in a transaction. After callTimeout it returns an error even if the driver does not, because an
// interrupted driver may not know whether a statement was executed.
func (s store) write(ctx context.Context, f func(tx *gorm.DB) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := f(tx); err != nil {
			return err
		}
		return ctx.Err()
	})
}

func (s store) read(ctx context.Context, f func(db *gorm.DB) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return f(s.db.WithContext(ctx))
}

// createTables creates the tables that are missing.
func (s store) createTables(ctx context.Context) error {
	if s.db == nil {
		return errors.New("database is nil")
	}
	translate := func(statement string) string { return statement }
	switch name := s.db.Name(); name {
	case "postgres":
	case "sqlite":
		translate = toSQLite.Replace
	default:
		return fmt.Errorf("database is %q: the stored inbox supports postgres and sqlite", name)
	}
	return s.write(ctx, func(tx *gorm.DB) error {
		for _, statement := range schema {
			if err := tx.Exec(translate(statement)).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

// bind stores bindings.
func (s store) bind(ctx context.Context, list []binding) error {
	if len(list) == 0 {
		return nil
	}
	return s.write(ctx, func(tx *gorm.DB) error { return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(list).Error })
}

func (s store) unbind(ctx context.Context, b binding) error {
	return s.write(ctx, func(tx *gorm.DB) error { return tx.Where(b).Delete(&binding{}).Error })
}

func (s store) bindings(ctx context.Context) (list []binding, err error) {
	err = s.read(ctx, func(db *gorm.DB) error { return db.Order("service, handler, event").Find(&list).Error })
	return list, err
}

// insert stores events, all or none.
func (s store) insert(ctx context.Context, list []storedEvent) error {
	return s.write(ctx, func(tx *gorm.DB) error { return tx.CreateInBatches(list, 100).Error })
}

// due returns up to pageSize events that can be handled now, the oldest first. It leaves out the busy subjects, and events
// behind one of their subject that has failed and waits.
func (s store) due(ctx context.Context, handler string, busy []string, now time.Time) (list []storedEvent, err error) {
	err = s.read(ctx, func(db *gorm.DB) error {
		query := db.Table("stored_inbox e").
			Where("handler = ? and dead_lettered_at is null and (first_failed_at is null or due_at <= ?)", handler, now.UTC()).
			Where(`not exists (select 1 from stored_inbox failed where failed.handler = e.handler
				and failed.subject = e.subject and failed.id < e.id and failed.first_failed_at is not null and failed.dead_lettered_at is null)`)
		if len(busy) > 0 {
			query = query.Where("subject not in ?", busy)
		}
		return query.Order("id").Limit(pageSize).Find(&list).Error
	})
	return list, err
}

// oldest returns the oldest event of a subject, due or not.
func (s store) oldest(ctx context.Context, handler, subject string) (list []storedEvent, err error) {
	err = s.read(ctx, func(db *gorm.DB) error {
		return db.Where("handler = ? and subject = ? and dead_lettered_at is null", handler, subject).Order("id").Limit(1).Find(&list).Error
	})
	return list, err
}

// nextRetry returns when the next failed event will be due, and zero if none is waiting.
func (s store) nextRetry(ctx context.Context, handler string, now time.Time) (due time.Time, err error) {
	var next []storedEvent
	err = s.read(ctx, func(db *gorm.DB) error {
		return db.Select("due_at").Where("handler = ? and dead_lettered_at is null and first_failed_at is not null and due_at > ?", handler, now.UTC()).
			Order("due_at").Limit(1).Find(&next).Error
	})
	if len(next) > 0 {
		due = next[0].DueAt
	}
	return due, err
}

// complete carries out an outcome other than Requeue, which needs no change.
func (s store) complete(ctx context.Context, e storedEvent, outcome transport.Outcome, now time.Time) error {
	now = now.UTC()
	if outcome.Action == transport.Ack {
		return s.write(ctx, func(tx *gorm.DB) error { return tx.Delete(&storedEvent{}, e.ID).Error })
	}
	failedAt := outcome.FirstFailedAt
	if failedAt.IsZero() {
		failedAt = now
	}
	attempts := e.attempts() + 1
	if outcome.Uncounted {
		attempts--
	}
	changes := map[string]any{"attempts": attempts, "first_failed_at": failedAt.UTC(), "last_error": "", "trace_parent": outcome.TraceParent}
	if outcome.Err != nil {
		changes["last_error"] = plainText(outcome.Err.Error())
	}
	if outcome.Action == transport.Retry {
		changes["due_at"] = now.Add(outcome.Delay)
	} else {
		changes["dead_lettered_at"], changes["dead_letter_reason"] = now, string(outcome.Reason)
	}
	return s.write(ctx, func(tx *gorm.DB) error {
		return tx.Model(&storedEvent{}).Where("id = ?", e.ID).Updates(changes).Error
	})
}

// plainText replaces what Postgres does not store: invalid UTF-8 and NUL.
func plainText(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}

// rejected reports whether the database rejects a row permanently, because it breaks a constraint or a limit. The driver
// is the caller's choice, so the type of its errors is not known here.
func rejected(err error) bool {
	if sqlite, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		switch sqlite.Code() & 0xff {
		case 18, 19, 20: // too big, constraint, mismatch
			return true
		}
		return false
	}
	if postgres, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		// Data exceptions, integrity constraints, limits, and exceptions raised by triggers.
		for _, class := range []string{"22", "23", "54", "P0001"} {
			if strings.HasPrefix(postgres.SQLState(), class) {
				return true
			}
		}
	}
	return false
}
