package events

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// GORM's type does not tell a transaction from a plain handle, and has no hook on commit. The plugin puts a
// connection pool of ours under the handle: its transactions know that they are ones, remember that something was
// published in them, and wake the relay once they are committed.

const pluginName = "quadrille:events"

type plugin struct {
	cfg       Config
	events    registry
	sql       *dialect
	writeLock writeLock
	tracing   tracing
	wake      func()
}

func (p *plugin) Name() string { return pluginName }

func (p *plugin) Initialize(db *gorm.DB) error {
	db.ConnPool = &pool{ConnPool: db.ConnPool, plugin: p}
	db.Statement.ConnPool = db.ConnPool
	return nil
}

// pool is the connection pool of a handle that a bus was made for.
type pool struct {
	gorm.ConnPool
	plugin *plugin
}

var (
	_ gorm.ConnPoolBeginner = (*pool)(nil)
	_ gorm.GetDBConnector   = (*pool)(nil)
	_ gorm.Tx               = (*transaction)(nil)
)

// BeginTx opens a transaction that can be published in.
func (p *pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	var (
		inner gorm.ConnPool
		err   error
		done  = func() {}
	)
	if opts == nil || !opts.ReadOnly {
		done = p.plugin.writeLock.acquire(ctx)
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
		done()
		return nil, err
	}
	return &transaction{ConnPool: inner, plugin: p.plugin, done: done}, nil
}

// ExecContext runs a statement that is a transaction by itself.
func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	defer p.plugin.writeLock.acquire(ctx)()
	return p.ConnPool.ExecContext(ctx, query, args...)
}

// GetDBConn lets gorm.DB.DB see through the pool.
func (p *pool) GetDBConn() (*sql.DB, error) {
	switch inner := p.ConnPool.(type) {
	case *sql.DB:
		return inner, nil
	case gorm.GetDBConnector:
		return inner.GetDBConn()
	}
	return nil, gorm.ErrInvalidDB
}

// Ping lets gorm.Open and others ping through the pool.
func (p *pool) Ping() error {
	db, err := p.GetDBConn()
	if err != nil {
		return err
	}
	return db.Ping()
}

// transaction is one transaction of such a handle. Like database/sql's it is used by one goroutine at a time.
type transaction struct {
	gorm.ConnPool
	plugin    *plugin
	published bool
	done      func()
}

// Commit commits and wakes the relay. It does so after an error too: the outcome of a commit can be unknown.
func (t *transaction) Commit() error {
	c, ok := t.ConnPool.(gorm.TxCommitter)
	if !ok {
		return gorm.ErrInvalidTransaction
	}
	err := c.Commit()
	t.done()
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
	defer t.done()
	return c.Rollback()
}

// StmtContext serves GORM's prepared statements.
func (t *transaction) StmtContext(ctx context.Context, stmt *sql.Stmt) *sql.Stmt {
	if inner, ok := t.ConnPool.(gorm.Tx); ok {
		return inner.StmtContext(ctx, stmt)
	}
	return stmt
}

// Errors of Publish; compare with errors.Is.
var (
	// ErrNoTransaction means that Publish was called with a plain handle, or with a transaction that was begun
	// before New: the event could be sent although the change it tells of is not.
	ErrNoTransaction = errors.New("events: Publish needs a transaction")
	// ErrNoBus means that no bus was made for the handle, so nobody would send the event.
	ErrNoBus = errors.New("events: no bus was made for this database handle")
)

// transactionOf finds our transaction under tx.
func transactionOf(tx *gorm.DB) (*transaction, error) {
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
