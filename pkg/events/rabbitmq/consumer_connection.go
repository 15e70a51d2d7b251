package rabbitmq

import (
	"context"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/semaphore"
)

// consumerConnection is the connection that all consumers and Check share. Each of them has a channel of its own.
type consumerConnection struct {
	dial    dialFunc
	opening *semaphore.Weighted // held while current is checked and replaced

	mu      sync.Mutex // guards what follows
	current *connection
	closed  bool
}

func newConsumerConnection(dial dialFunc) *consumerConnection {
	return &consumerConnection{dial: dial, opening: semaphore.NewWeighted(1)}
}

// channel opens a channel, and the connection if necessary.
func (c *consumerConnection) channel(ctx context.Context) (*connection, *amqp.Channel, error) {
	conn, err := c.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	ch, err := conn.channel(ctx)
	return conn, ch, err
}

func (c *consumerConnection) open(ctx context.Context) (*connection, error) {
	if err := c.opening.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer c.opening.Release(1)
	if conn, err := c.usable(); conn != nil || err != nil {
		return conn, err
	}
	conn, err := c.dial(ctx, "consume")
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.drop()
		return nil, errClosed
	}
	c.current = conn
	return conn, nil
}

// usable returns the current connection, or nil if another one must be opened.
func (c *consumerConnection) usable() (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, errClosed
	case c.current == nil || c.current.conn.IsClosed():
		return nil, nil
	}
	return c.current, nil
}

// close closes the connection for good.
func (c *consumerConnection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.current != nil {
		c.current.close()
	}
}
