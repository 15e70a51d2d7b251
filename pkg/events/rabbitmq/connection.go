package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// callTimeout bounds a request to the broker, which itself gives up on a queue without a leader after half of that.
	// The heartbeat finds a dead connection earlier.
	callTimeout = time.Minute
	// callGrace and writeGrace are the time that a request and a write have left once their context has ended.
	callGrace  = 5 * time.Second
	writeGrace = 500 * time.Millisecond
	// closeTimeout bounds the closing handshake.
	closeTimeout = 2 * time.Second
	// redialPause is how long the error of a failed dial is returned to later callers, so that they do not flood the
	// broker.
	redialPause = 200 * time.Millisecond
)

// dialFunc connects to the broker. purpose is part of the connection's name.
type dialFunc func(ctx context.Context, purpose string) (*connection, error)

// newDialFunc returns a function that connects to one of the addresses, starting with a random one. It blocks for
// Config.DialTimeout per address at most.
func newDialFunc(urls []string, cfg Config) dialFunc {
	var (
		mu       sync.Mutex // guards what follows
		failure  error
		failedAt time.Time
	)
	return func(ctx context.Context, purpose string) (*connection, error) {
		mu.Lock()
		err, age := failure, time.Since(failedAt)
		mu.Unlock()
		if err != nil && age < redialPause {
			return nil, err
		}
		conn, err := dialAny(ctx, urls, cfg, purpose)
		if ctx.Err() == nil || err == nil {
			mu.Lock()
			failure, failedAt = err, time.Now()
			mu.Unlock()
		}
		return conn, err
	}
}

func dialAny(ctx context.Context, urls []string, cfg Config, purpose string) (*connection, error) {
	var errs []error
	for i, offset := 0, rand.IntN(len(urls)); i < len(urls) && ctx.Err() == nil; i++ {
		conn, err := dial(ctx, urls[(i+offset)%len(urls)], cfg, purpose)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("rabbitmq: connect: %w", errors.Join(append(errs, ctx.Err())...))
}

func dial(ctx context.Context, url string, cfg Config, purpose string) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(cfg.Name + " " + purpose)

	uri, err := amqp.ParseURI(url)
	if err != nil {
		return nil, withoutSecret(err)
	}
	c := &connection{}
	var (
		socket *boundedConn
		filter *contentFilter
	)
	unwatch := func() bool { return true }
	config := amqp.Config{
		Heartbeat:  cfg.Heartbeat,
		Properties: properties,
		Dial: func(network, _ string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)))
			if err != nil {
				return nil, err
			}
			socket = &boundedConn{Conn: conn, timeout: cfg.WriteTimeout}
			c.socket = socket
			// amqp091-go does not accept a context: closing the socket is the only way to end its handshake.
			unwatch = context.AfterFunc(ctx, c.drop)
			conn = c.socket
			if uri.Scheme == "amqps" {
				if conn, err = encrypted(ctx, conn, uri, cfg.TLS); err != nil {
					return nil, err
				}
			}
			filter = newContentFilter(conn)
			return filter, nil
		},
	}
	// Dial does what DialConfig would do for amqps, because the filter must see plain text.
	conn, err := amqp.DialConfig(strings.Replace(url, "amqps:", "amqp:", 1), config)
	if inTime := unwatch(); !inTime {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		if socket != nil {
			c.drop()
			if strings.HasPrefix(url, "amqp:") && socket.receivedNoAMQP() {
				err = fmt.Errorf("%w: the server does not speak AMQP in plain text; for TLS the address begins with amqps://", err)
			}
		}
		return nil, err
	}
	c.conn = conn
	if agreed := conn.Config.FrameSize; agreed > 0 {
		filter.frameMax.Store(int64(agreed))
	}
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	go func() {
		for b := range blocked {
			c.blocked.Store(b.Active)
		}
	}()
	return c, nil
}

// encrypted does the TLS handshake. Without a configuration it uses the files that the address names.
func encrypted(ctx context.Context, conn net.Conn, uri amqp.URI, cfg *tls.Config) (net.Conn, error) {
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: uri.ServerName}
		var err error
		if uri.CACertFile != "" {
			if cfg, err = trusting(uri.CACertFile, cfg); err != nil {
				return nil, err
			}
		}
		if uri.CertFile != "" && uri.KeyFile != "" {
			certificate, err := tls.LoadX509KeyPair(uri.CertFile, uri.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("load client certificate: %w", err)
			}
			cfg.Certificates = []tls.Certificate{certificate}
		}
	}
	cfg = cfg.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = uri.Host
	}
	client := tls.Client(conn, cfg)
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return client, nil
}

// connection is an AMQP connection with its socket, since closing the socket is the only way to interrupt amqp091-go.
type connection struct {
	conn    *amqp.Connection
	socket  net.Conn
	blocked atomic.Bool // the broker has blocked publishers
}

// drop closes the socket; calls in progress fail. It does not block and may be called more than once.
func (c *connection) drop() { _ = c.socket.Close() }

// close closes the connection with AMQP's handshake. It may be called more than once.
func (c *connection) close() {
	timeout := time.AfterFunc(closeTimeout, c.drop)
	defer timeout.Stop()
	// An error means only that the handshake was not completed.
	_ = c.conn.Close()
	c.drop()
}

// call runs f, which calls the broker and cannot be interrupted. It drops the connection if f takes longer than
// callTimeout, or longer than grace after ctx has ended.
func (c *connection) call(ctx context.Context, grace time.Duration, f func() error) error {
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-done:
			return
		case <-time.After(callTimeout):
		case <-ctx.Done():
			select {
			case <-done:
				return
			case <-time.After(grace):
			}
		}
		c.drop()
	}()
	return f()
}

// ask runs f, which calls the broker, and returns without waiting for it when ctx ends or callTimeout is over. Unlike call, it
// keeps the connection, so that a slow response to a check cannot interrupt the consumers. A call that was given up ends
// when the broker responds or the connection is lost.
func (c *connection) ask(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// channel opens a channel.
func (c *connection) channel(ctx context.Context) (ch *amqp.Channel, err error) {
	err = c.call(ctx, writeGrace, func() error {
		ch, err = c.conn.Channel()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: open channel: %w", err)
	}
	return ch, nil
}

// boundedConn sets a deadline for each write, so that a peer that no longer reads cannot block a writer for ever.
type boundedConn struct {
	net.Conn
	timeout time.Duration
	first   atomic.Int32 // the first byte received, plus one
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

// receivedNoAMQP reports whether the peer closed the connection without sending anything but a TLS alert.
func (c *boundedConn) receivedNoAMQP() bool {
	const tlsAlert = 21
	first := c.first.Load()
	return first == 0 || first == tlsAlert+1
}
