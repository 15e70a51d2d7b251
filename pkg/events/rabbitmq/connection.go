package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// callLimit is how long the broker may take to answer a request; it gives up by itself on a queue without a
	// leader after half of it. A connection that is dead is found earlier, by its heartbeat.
	callLimit = time.Minute
	// callGrace and writeGrace are what a request, and a write, have left once nobody waits for them any more.
	callGrace  = 5 * time.Second
	writeGrace = 500 * time.Millisecond
	// closeLimit bounds the farewell to a broker that may not listen.
	closeLimit = 2 * time.Second
	// redialPause is how long a failed dial answers for the next ones, so that many callers make no storm.
	redialPause = 200 * time.Millisecond
)

// dialer makes connections. It keeps none.
type dialer struct {
	urls []string
	cfg  Config

	mu       sync.Mutex
	failure  error
	failedAt time.Time
}

// dial connects to one of the addresses, beginning anywhere. It blocks for DialTimeout an address at most.
func (d *dialer) dial(ctx context.Context, purpose string) (*connection, error) {
	d.mu.Lock()
	failure, age := d.failure, time.Since(d.failedAt)
	d.mu.Unlock()
	if failure != nil && age < redialPause {
		return nil, failure
	}

	var errs []error
	for i, offset := 0, rand.IntN(len(d.urls)); i < len(d.urls) && ctx.Err() == nil; i++ {
		l, err := d.dialOne(ctx, d.urls[(i+offset)%len(d.urls)], purpose)
		if err == nil {
			d.mu.Lock()
			d.failure = nil
			d.mu.Unlock()
			return l, nil
		}
		errs = append(errs, err)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("rabbitmq: connect: %w", errors.Join(append(errs, ctx.Err())...))
	}
	failure = fmt.Errorf("rabbitmq: connect: %w", errors.Join(errs...))
	d.mu.Lock()
	d.failure, d.failedAt = failure, time.Now()
	d.mu.Unlock()
	return nil, failure
}

func (d *dialer) dialOne(ctx context.Context, url, purpose string) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.DialTimeout)
	defer cancel()
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(d.cfg.Name + " " + purpose)

	l := &connection{}
	var socket *boundedConn
	unwatch := func() bool { return true }
	config := amqp.Config{
		Heartbeat:  d.cfg.Heartbeat,
		Properties: properties,
		Dial: func(network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			socket = &boundedConn{Conn: conn, timeout: d.cfg.WriteTimeout}
			l.socket = socket
			// amqp091 knows no context: closing the socket is what ends its handshake.
			unwatch = context.AfterFunc(ctx, l.drop)
			return l.socket, nil
		},
	}
	if d.cfg.TLS != nil {
		config.TLSClientConfig = d.cfg.TLS.Clone()
	}
	conn, err := amqp.DialConfig(url, config)
	if inTime := unwatch(); !inTime {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		if socket != nil {
			l.drop()
			if strings.HasPrefix(url, "amqp:") && socket.receivedNoAMQP() {
				err = fmt.Errorf("%w: no broker answers in plain text there; for TLS the address begins with amqps://", err)
			}
		}
		return nil, err
	}
	l.conn = conn
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	go func() {
		for b := range blocked {
			l.blocked.Store(b.Active)
		}
	}()
	return l, nil
}

// link is a connection whose socket we hold, because closing that is the only thing that interrupts amqp091.
type connection struct {
	conn    *amqp.Connection
	socket  net.Conn
	blocked atomic.Bool // the broker has told us to stop publishing
}

// drop ends the connection without a word; whatever waits on it fails. It does not block and may be repeated.
func (l *connection) drop() { _ = l.socket.Close() }

// close ends the connection with a farewell. It may be repeated.
func (l *connection) close() {
	limit := time.AfterFunc(closeLimit, l.drop)
	defer limit.Stop()
	// An error says only that the broker did not hear us.
	_ = l.conn.Close()
	l.drop()
}

// call runs f, which talks to the broker and cannot be interrupted, and drops the connection under it if it takes
// longer than callLimit, or than grace once ctx has ended.
func (l *connection) call(ctx context.Context, grace time.Duration, f func() error) error {
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-done:
			return
		case <-time.After(callLimit):
		case <-ctx.Done():
			select {
			case <-done:
				return
			case <-time.After(grace):
			}
		}
		l.drop()
	}()
	return f()
}

// channel opens a channel.
func (l *connection) channel(ctx context.Context) (ch *amqp.Channel, err error) {
	err = l.call(ctx, writeGrace, func() error {
		ch, err = l.conn.Channel()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: open channel: %w", err)
	}
	return ch, nil
}

// boundedConn gives each write a deadline: a peer that reads nothing any more must not hold a writer for ever.
type boundedConn struct {
	net.Conn
	timeout time.Duration
	first   atomic.Int32 // the first byte heard, plus one
}

func (c *boundedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.first.Load() == 0 {
		c.first.Store(int32(b[0]) + 1)
	}
	return n, err
}

func (c *boundedConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// heardNoAMQP says whether the peer has hung up without a word, or with an alert of TLS.
func (c *boundedConn) receivedNoAMQP() bool {
	const tlsAlert = 21
	first := c.first.Load()
	return first == 0 || first == tlsAlert+1
}
