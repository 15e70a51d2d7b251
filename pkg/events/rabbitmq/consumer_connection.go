package rabbitmq

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/semaphore"
)

// consumerConnection is the connection that all consumers share. Each consumer has a channel of its own.
type consumerConnection struct {
	dial    dialFunc
	opening *semaphore.Weighted // guards current
	current *connection
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
	if c.current != nil && !c.current.conn.IsClosed() {
		return c.current, nil
	}
	conn, err := c.dial(ctx, "consume")
	if err == nil {
		c.current = conn
	}
	return conn, err
}

// close closes the connection. No consumer may use it any more.
func (c *consumerConnection) close() {
	if c.current != nil {
		c.current.close()
	}
}
