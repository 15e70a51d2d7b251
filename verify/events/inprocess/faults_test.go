package inprocess

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"

	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

var errCut = errors.New("the line is cut")

// line is what calls of one process pass through, to the hub or to a database file. It breaks them on demand.
type line struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced whenever something below changes
	epoch    int           // grows with every cut
	cut      bool
	requests bool // stalled
	answers  bool
	onCut    map[any]func()
}

var _ eventstest.Link = (*line)(nil)

func newLine() *line { return &line{changed: make(chan struct{}), onCut: map[any]func(){}} }

func (l *line) Cut() {
	l.change(func() { l.epoch, l.cut = l.epoch+1, true })
	l.mu.Lock()
	hooks := l.onCut
	l.onCut = map[any]func(){}
	l.mu.Unlock()
	var all sync.WaitGroup
	for _, hook := range hooks {
		all.Go(hook)
	}
	all.Wait()
}

func (l *line) StallRequests() { l.change(func() { l.requests = true }) }
func (l *line) StallAnswers()  { l.change(func() { l.answers = true }) }
func (l *line) Restore()       { l.change(func() { l.cut, l.requests, l.answers = false, false, false }) }

func (l *line) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// connect answers the epoch that a connection belongs to, and calls hook when that is over.
func (l *line) connect(key any, hook func()) (epoch int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return 0, errCut
	}
	if hook != nil {
		l.onCut[key] = hook
	}
	return l.epoch, nil
}

func (l *line) forget(key any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.onCut, key)
}

// pass blocks while the direction is stalled, and fails once the connection's epoch is over.
func (l *line) pass(ctx context.Context, epoch int, stalled *bool) error {
	for {
		l.mu.Lock()
		over, blocked, changed := epoch != l.epoch, *stalled, l.changed
		l.mu.Unlock()
		switch {
		case over:
			return errCut
		case !blocked:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// through makes a call on a connection: a request, what it does, and its answer.
func (l *line) through(ctx context.Context, epoch int, call func() error) error {
	if err := l.pass(ctx, epoch, &l.requests); err != nil {
		return err
	}
	err := call()
	if lost := l.pass(ctx, epoch, &l.answers); lost != nil {
		return lost
	}
	return err
}

// remote is an office at the other end of a line.
type remote struct {
	exchange
	line *line
}

func (r remote) publish(ctx context.Context, msgs []transport.Message) (outcomes []error) {
	epoch, err := r.line.connect(nil, nil)
	if err == nil {
		err = r.line.through(ctx, epoch, func() error {
			outcomes = r.exchange.publish(ctx, msgs)
			return nil
		})
	}
	if err != nil {
		outcomes = make([]error, len(msgs))
		for i := range outcomes {
			outcomes[i] = err
		}
	}
	return outcomes
}

func (r remote) check(topology transport.Topology) error {
	epoch, err := r.line.connect(nil, nil)
	if err != nil {
		return err
	}
	return r.line.through(context.Background(), epoch, func() error { return r.exchange.check(topology) })
}

// attach has the office put the consumer out when the line is cut, as a broker does with one whose connection ends.
func (r remote) attach(q transport.Queue) (consumer, error) {
	inner, err := r.exchange.attach(q)
	if err != nil {
		return nil, err
	}
	d := &remoteDesk{consumer: inner, line: r.line}
	if d.epoch, err = r.line.connect(d, inner.leave); err != nil {
		inner.leave()
		return nil, err
	}
	return d, nil
}

type remoteDesk struct {
	consumer
	line  *line
	epoch int
}

// take needs no request: what there is, is pushed.
func (d *remoteDesk) take(ctx context.Context, limit int) ([]storedEvent, error) {
	list, err := d.consumer.take(ctx, limit)
	if err != nil {
		return nil, err
	}
	return list, d.line.pass(ctx, d.epoch, &d.line.answers)
}

func (d *remoteDesk) settle(ctx context.Context, e storedEvent, v transport.Outcome) error {
	err := d.line.through(ctx, d.epoch, func() error { return d.consumer.settle(ctx, e, v) })
	if errors.Is(err, errCut) {
		return errGone
	}
	return err
}

func (d *remoteDesk) leave() {
	d.line.forget(d)
	d.consumer.leave()
}

// connector opens connections to a database file at the other end of a line. One that is cut off is closed there, as
// a server does, so that its transaction ends.
type connector struct {
	driver driver.Driver
	name   string
	line   *line
}

func (c *connector) Driver() driver.Driver { return c.driver }

func (c *connector) Connect(context.Context) (driver.Conn, error) {
	inner, err := c.driver.Open(c.name)
	if err != nil {
		return nil, err
	}
	conn := &conn{inner: inner, line: c.line}
	if conn.epoch, err = c.line.connect(conn, conn.kill); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return conn, nil
}

type conn struct {
	line  *line
	epoch int

	mu     sync.Mutex // guards what follows
	inner  driver.Conn
	rows   int // open
	killed bool
	closed bool
}

var (
	_ driver.ExecerContext  = (*conn)(nil)
	_ driver.QueryerContext = (*conn)(nil)
	_ driver.ConnBeginTx    = (*conn)(nil)
	_ driver.Pinger         = (*conn)(nil)
	_ driver.Validator      = (*conn)(nil)
)

// do passes a call to the real connection.
func (c *conn) do(ctx context.Context, call func() error) error {
	return c.line.through(ctx, c.epoch, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.killed {
			return errCut
		}
		return call()
	})
}

func (c *conn) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	_ = c.end()
}

// end closes the real connection as soon as no rows are read from it. The caller holds the lock.
func (c *conn) end() error {
	if c.closed || c.rows > 0 {
		return nil
	}
	c.closed = true
	return c.inner.Close()
}

func (c *conn) Close() error {
	c.line.forget(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	return c.end()
}

func (c *conn) IsValid() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.killed
}

func (c *conn) Begin() (driver.Tx, error) { return nil, driver.ErrSkip }

func (c *conn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("this driver prepares nothing")
}

func (c *conn) Ping(ctx context.Context) error { return c.do(ctx, func() error { return nil }) }

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	var inner driver.Tx
	err := c.do(ctx, func() (err error) {
		inner, err = c.inner.(driver.ConnBeginTx).BeginTx(ctx, opts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &tx{c, inner}, nil
}

type tx struct {
	*conn
	inner driver.Tx
}

func (t *tx) Commit() error   { return t.do(context.Background(), t.inner.Commit) }
func (t *tx) Rollback() error { return t.do(context.Background(), t.inner.Rollback) }

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Result, err error) {
	err = c.do(ctx, func() (err error) {
		r, err = c.inner.(driver.ExecerContext).ExecContext(ctx, query, args)
		return err
	})
	return r, err
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	var inner driver.Rows
	err := c.do(ctx, func() (err error) {
		if inner, err = c.inner.(driver.QueryerContext).QueryContext(ctx, query, args); err == nil {
			c.rows++
		}
		return err
	})
	if inner == nil {
		return nil, err
	}
	r := &openRows{Rows: inner, conn: c}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// openRows are read undisturbed: their first step was the answer.
type openRows struct {
	driver.Rows
	conn *conn
}

func (r *openRows) Next(dest []driver.Value) error {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	return r.Rows.Next(dest)
}

func (r *openRows) Close() error {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	err := r.Rows.Close()
	r.conn.rows--
	if r.conn.killed {
		err = errors.Join(err, r.conn.end())
	}
	return err
}
