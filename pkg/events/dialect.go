package events

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// dialect is what the library says to one kind of database. The arguments of a statement are the same in all
// dialects, in the same order; a time among them goes through the function time, a list of ids through ids.
type dialect struct {
	// Of the outbox. done answers how many rows it removed.
	insert, acquire, renew, release, promote, due, stats string

	block func(ctx context.Context, o outbox, generation int64, holds []block, now time.Time) error
	done  func(ctx context.Context, o outbox, generation int64, ids []int64, now time.Time) (gone int64, err error)

	// Of the inbox.
	insertRecord, recordExists, purge string

	// oneWriter says that transactions which write exclude each other.
	oneWriter bool

	time func(t time.Time) any
	ids  func(ids []int64) any

	// schema translates a migration, which is written for Postgres. lockSchema lets one instance migrate at a time.
	schema     func(statement string) string
	lockSchema []string

	// contention says that the database made two transactions give way to each other. Neither is at fault: the
	// transaction is worth repeating at once.
	contention func(err error) bool
	// away says whether the database cannot be used at the moment; told is false if the error does not come from it.
	away func(err error) (away, told bool)
	// notMigrated says that the library's own tables are not there, or not as they should be, or not ours to use: the
	// database is not ready for this program, and no event is to blame.
	notMigrated func(err error) bool
}

func newDialect(db *gorm.DB) (*dialect, error) {
	switch name := db.Name(); name {
	case "postgres":
		return &postgres, nil
	case "sqlite":
		return &sqlite, nil
	default:
		return nil, fmt.Errorf("database is %q: this library knows postgres and sqlite", name)
	}
}

// instant reads a time, which is null for the zero value, in whatever way a driver hands it out.
type instant struct{ time.Time }

// Scan implements sql.Scanner.
func (i *instant) Scan(value any) (err error) {
	switch v := value.(type) {
	case nil:
		i.Time = time.Time{}
	case time.Time:
		i.Time = v
	case string:
		i.Time, err = time.Parse("2006-01-02 15:04:05.999999999-07:00", v)
	case []byte:
		return i.Scan(string(v))
	default:
		err = fmt.Errorf("a time cannot be read from %T", value)
	}
	return err
}
