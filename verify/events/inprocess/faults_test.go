package inprocess_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"sync"

	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/inprocess"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

var errCut = errors.New("the link is cut")

// link is what the calls of one process to the broker or to a database file pass through. It implements
// eventstest.Link.
type link struct {
	mu        sync.Mutex
	changed   chan struct{} // closed and replaced whenever something below changes
	epoch     int           // grows with every cut
	cut       bool
	requests  bool // stalled
	responses bool
	onCut     map[any]func()
}

var _ eventstest.Link = (*link)(nil)

func newLink() *link { return &link{changed: make(chan struct{}), onCut: map[any]func(){}} }

func (l *link) Cut() {
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

func (l *link) StallRequests()  { l.change(func() { l.requests = true }) }
func (l *link) StallResponses() { l.change(func() { l.responses = true }) }
func (l *link) Restore()        { l.change(func() { l.cut, l.requests, l.responses = false, false, false }) }

func (l *link) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// connect returns the epoch that a connection belongs to, and calls hook when that is over.
func (l *link) connect(key any, hook func()) (epoch int, err error) {
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

func (l *link) disconnect(key any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.onCut, key)
}

// pass blocks while the direction is stalled, and fails once the connection's epoch is over.
func (l *link) pass(ctx context.Context, epoch int, stalled *bool) error {
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

// restored blocks until the link is not cut.
func (l *link) restored(ctx context.Context) error {
	for {
		l.mu.Lock()
		cut, changed := l.cut, l.changed
		l.mu.Unlock()
		if !cut {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// through makes a call on a connection: a request, its effect, and its response.
func (l *link) through(ctx context.Context, epoch int, call func() error) error {
	if err := l.pass(ctx, epoch, &l.requests); err != nil {
		return err
	}
	err := call()
	if lost := l.pass(ctx, epoch, &l.responses); lost != nil {
		return lost
	}
	return err
}

// remote is the transport of a broker at the other end of a link. When the link is cut, deliveries in progress are
// lost and requeued, as a broker does with those of a connection that ends.
type remote struct {
	*inprocess.Transport
	link *link
}

func (r remote) Publish(ctx context.Context, msgs []transport.Message) (outcomes []error) {
	epoch, err := r.link.connect(nil, nil)
	if err == nil {
		err = r.link.through(ctx, epoch, func() error {
			outcomes = r.Transport.Publish(ctx, msgs)
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

func (r remote) Check(ctx context.Context, topology transport.Topology) error {
	epoch, err := r.link.connect(nil, nil)
	if err != nil {
		return err
	}
	return r.link.through(ctx, epoch, func() error { return r.Transport.Check(ctx, topology) })
}

func (r remote) Consume(ctx context.Context, consumers []transport.Consumer) error {
	var running sync.WaitGroup
	defer running.Wait()
	consumers = slices.Clone(consumers)
	for i := range consumers {
		ready, handle := consumers[i].Ready, consumers[i].Handle
		consumers[i].Ready = func(ctx context.Context) error {
			if err := ready(ctx); err != nil {
				return err
			}
			return r.link.restored(ctx)
		}
		consumers[i].Handle = func(d transport.Delivery) transport.Outcome {
			result := make(chan transport.Outcome, 1)
			lost := make(chan struct{})
			epoch, err := r.link.connect(lost, func() { close(lost) })
			if err != nil {
				return transport.Outcome{Action: transport.Requeue, Err: err}
			}
			defer r.link.disconnect(lost)
			running.Go(func() { result <- r.handle(ctx, epoch, d, handle) })
			select {
			case o := <-result:
				return o
			case <-lost:
				return transport.Outcome{Action: transport.Requeue, Err: errCut}
			}
		}
	}
	return r.Transport.Consume(ctx, consumers)
}

// handle passes a delivery to the handler, and its outcome back to the broker.
func (r remote) handle(
	ctx context.Context, epoch int, d transport.Delivery, handle func(transport.Delivery) transport.Outcome,
) transport.Outcome {
	if err := r.link.pass(ctx, epoch, &r.link.responses); err != nil {
		return transport.Outcome{Action: transport.Requeue, Err: err}
	}
	o := handle(d)
	if err := r.link.pass(context.WithoutCancel(ctx), epoch, &r.link.requests); err != nil {
		return transport.Outcome{Action: transport.Requeue, Err: err}
	}
	return o
}

// connector opens connections to a database file at the other end of a link. When the link is cut, they are closed
// there, as a server does, so that their transactions end.
type connector struct {
	driver driver.Driver
	name   string
	link   *link
}

func (c *connector) Driver() driver.Driver { return c.driver }

func (c *connector) Connect(context.Context) (driver.Conn, error) {
	inner, err := c.driver.Open(c.name)
	if err != nil {
		return nil, err
	}
	conn := &conn{inner: inner, link: c.link}
	if conn.epoch, err = c.link.connect(conn, conn.kill); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return conn, nil
}

type conn struct {
	link  *link
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
	return c.link.through(ctx, c.epoch, func() error {
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
	c.link.disconnect(c)
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
	return nil, errors.New("prepared statements are not supported")
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

// openRows passes rows without faults: the response that a link can lose is that of the query.
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
