package events

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/writelock"
)

// GORM's type does not distinguish a transaction from a plain handle and has no hook on commit. The plugin puts its own
// connection pool under the handle. Transactions of that pool can be recognized, record that an event was published in
// them, and wake the relay once they are committed.

const pluginName = "github.com/quadrille-dev/quadrille/pkg/events"

type plugin struct {
	cfg       Config
	events    registry
	dialect   *dialect.Dialect
	writeLock writelock.Lock
	tracing   telemetry.Tracing
	wake      func()
}

func (p *plugin) Name() string { return pluginName }

func (p *plugin) Initialize(db *gorm.DB) error {
	db.ConnPool = &pool{ConnPool: db.ConnPool, plugin: p}
	db.Statement.ConnPool = db.ConnPool
	return nil
}

// pool is the connection pool of a handle that has a bus.
type pool struct {
	gorm.ConnPool
	plugin *plugin
}

var (
	_ gorm.ConnPoolBeginner = (*pool)(nil)
	_ gorm.GetDBConnector   = (*pool)(nil)
	_ gorm.Tx               = (*transaction)(nil)
)

// BeginTx begins a transaction in which Publish can be called.
func (p *pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	var (
		inner   gorm.ConnPool
		err     error
		release = func() {}
	)
	if opts == nil || !opts.ReadOnly {
		release = p.plugin.writeLock.Acquire(ctx)
	}
	switch b := p.ConnPool.(type) {
	case gorm.TxBeginner:
		inner, err = b.BeginTx(ctx, opts)
	case gorm.ConnPoolBeginner:
		inner, err = b.BeginTx(ctx, opts)
	default:
		err = gorm.ErrInvalidTransaction
	}
	if err != nil {
		release()
		return nil, err
	}
	return &transaction{ConnPool: inner, plugin: p.plugin, release: release}, nil
}

// ExecContext runs a statement that is a transaction of its own.
func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	defer p.plugin.writeLock.Acquire(ctx)()
	return p.ConnPool.ExecContext(ctx, query, args...)
}

// GetDBConn implements gorm.GetDBConnector.
func (p *pool) GetDBConn() (*sql.DB, error) {
	switch inner := p.ConnPool.(type) {
	case *sql.DB:
		return inner, nil
	case gorm.GetDBConnector:
		return inner.GetDBConn()
	}
	return nil, gorm.ErrInvalidDB
}

// Ping checks the connection, as gorm.Open does.
func (p *pool) Ping() error {
	db, err := p.GetDBConn()
	if err != nil {
		return err
	}
	return db.PingContext(context.Background())
}

// transaction is a transaction of such a pool. It is not safe for concurrent use.
type transaction struct {
	gorm.ConnPool
	plugin    *plugin
	published bool
	release   func() // of the write lock
}

// Commit commits and wakes the relay, after an error too, since the outcome of a commit can be unknown.
func (t *transaction) Commit() error {
	c, ok := t.ConnPool.(gorm.TxCommitter)
	if !ok {
		return gorm.ErrInvalidTransaction
	}
	err := c.Commit()
	t.release()
	if t.published {
		t.plugin.wake()
	}
	return err
}

// Rollback rolls back.
func (t *transaction) Rollback() error {
	c, ok := t.ConnPool.(gorm.TxCommitter)
	if !ok {
		return gorm.ErrInvalidTransaction
	}
	defer t.release()
	return c.Rollback()
}

// StmtContext implements gorm.Tx for prepared statements.
func (t *transaction) StmtContext(ctx context.Context, stmt *sql.Stmt) *sql.Stmt {
	if inner, ok := t.ConnPool.(gorm.Tx); ok {
		return inner.StmtContext(ctx, stmt)
	}
	return stmt
}

// Errors of Publish; compare with errors.Is.
var (
	// ErrNoTransaction means that Publish was called with a plain handle, or with a transaction that was begun before
	// New: the event could be published although the change that it describes is not committed.
	ErrNoTransaction = errors.New("events: Publish needs a transaction")
	// ErrNoBus means that the handle has no bus, so the event would never be published.
	ErrNoBus = errors.New("events: no bus was made for this database handle")
)

// transactionFrom returns the transaction of the plugin's pool under tx.
func transactionFrom(tx *gorm.DB) (*transaction, error) {
	p, ok := tx.Plugins[pluginName].(*plugin)
	if !ok {
		return nil, ErrNoBus
	}
	inner := tx.Statement.ConnPool
	if prepared, ok := inner.(*gorm.PreparedStmtTX); ok {
		inner = prepared.Tx
	}
	t, ok := inner.(*transaction)
	if !ok {
		return nil, ErrNoTransaction
	}
	if t.plugin != p {
		return nil, fmt.Errorf("%w: the transaction belongs to another one", ErrNoBus)
	}
	return t, nil
}
