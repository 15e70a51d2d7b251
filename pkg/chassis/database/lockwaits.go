package database

import (
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"

	"github.com/quadrille-dev/quadrille/pkg/events/dberror"
)

// limitLockWaits keeps a row whose lock is held for long, for example by a person in psql, from holding all connections of
// the pool. The first statements that lock the row wait for the lock timeout. Later ones do not wait at all, until one of
// them gets the lock.
//
// It applies to queries with a [clause.Locking]. A row is known by its table and by the texts in the query's conditions,
// which are its key: a query for several rows is about each of them.
func limitLockWaits(db *gorm.DB) error {
	rows := &lockedRows{until: map[string]time.Time{}}
	if err := db.Callback().Query().Before("gorm:query").Register("lock_waits:before", rows.before); err != nil {
		return err
	}
	return db.Callback().Query().After("gorm:query").Register("lock_waits:after", rows.after)
}

// lockedRows holds the rows whose lock could not be acquired lately.
type lockedRows struct {
	mu    sync.Mutex
	until map[string]time.Time // statements do not wait for the row before this time
}

const (
	lockedFor     = time.Minute
	maxLockedRows = 10_000
)

func (l *lockedRows) before(db *gorm.DB) {
	if !locks(db) {
		return
	}
	callbacks.BuildQuerySQL(db)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range rowKeys(db.Statement) {
		if time.Now().Before(l.until[key]) {
			_, _ = db.Statement.WriteString(" NOWAIT")
			return
		}
	}
}

func (l *lockedRows) after(db *gorm.DB) {
	if !locks(db) {
		return
	}
	locked := dberror.KindOf(db.Error) == dberror.Locked
	l.mu.Lock()
	defer l.mu.Unlock()
	if !locked && len(l.until) == 0 {
		return
	}
	if len(l.until) > maxLockedRows {
		clear(l.until)
	}
	for _, key := range rowKeys(db.Statement) {
		if locked {
			l.until[key] = time.Now().Add(lockedFor)
		} else if db.Error == nil {
			delete(l.until, key)
		}
	}
}

// locks reports whether the query locks rows and may wait for that.
func locks(db *gorm.DB) bool {
	lock, ok := db.Statement.Clauses["FOR"].Expression.(clause.Locking)
	return ok && lock.Options == ""
}

func rowKeys(s *gorm.Statement) []string {
	var keys []string
	for _, v := range s.Vars {
		if text, ok := v.(string); ok {
			keys = append(keys, strings.Join([]string{s.Table, text}, "\x00"))
		}
	}
	return keys
}
