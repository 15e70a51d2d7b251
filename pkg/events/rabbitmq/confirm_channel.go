package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/semaphore"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

const (
	// maxBatch is the number of messages that one call has in flight, maxInFlight that of all calls together.
	maxBatch    = 256
	maxInFlight = 1024
)

// errNoConfirm is the cause of a confirm that did not arrive within Config.ConfirmTimeout.
var errNoConfirm = errors.New("the broker did not confirm in time")

// confirmChannel is a connection with one channel in confirm mode. It ends when either of them is closed.
type confirmChannel struct {
	*connection
	ch       *amqp.Channel
	done     chan struct{} // closed when the channel has ended
	closeErr error         // why it ended; valid after done is closed

	// slots limits the messages in flight to the capacity of returns: amqp091-go drops a return if that is full.
	slots   *semaphore.Weighted
	returns chan amqp.Return

	mu       sync.Mutex       // guards returned, and is held while returns is read into it
	returned map[int64]string // the broker's reason by publish-number

	users     atomic.Int64
	abandoned atomic.Bool // a caller gave up waiting for a confirm: its slots stay taken
	retired   atomic.Bool // the last user closes it
}

func openConfirmChannel(ctx context.Context, dial dialFunc) (*confirmChannel, error) {
	conn, err := dial(ctx, "publish")
	if err != nil {
		return nil, err
	}
	ch, err := conn.channel(ctx)
	if err == nil {
		err = conn.call(ctx, writeGrace, func() error { return ch.Confirm(false) })
	}
	if err != nil {
		conn.drop()
		return nil, fmt.Errorf("rabbitmq: open channel for confirms: %w", err)
	}
	c := &confirmChannel{
		connection: conn, ch: ch, done: make(chan struct{}),
		slots:    semaphore.NewWeighted(maxInFlight),
		returns:  ch.NotifyReturn(make(chan amqp.Return, maxInFlight)),
		returned: map[int64]string{},
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	go func() {
		if err := <-closed; err != nil {
			c.closeErr = err
		} else {
			c.closeErr = amqp.ErrClosed
		}
		close(c.done)
		c.close()
	}()
	return c, nil
}

// isClosed reports whether the channel or its connection is closed.
func (c *confirmChannel) isClosed() bool { return c.ch.IsClosed() || c.conn.IsClosed() }

// release ends a use of the channel.
func (c *confirmChannel) release() {
	if c.users.Add(-1) == 0 && c.retired.Load() {
		c.drop()
	}
}

// retire closes the channel once its users have released it.
func (c *confirmChannel) retire() {
	c.retired.Store(true)
	if c.users.Load() == 0 {
		c.drop()
	}
}

// send publishes maxBatch messages at most, in order, and blocks until each has an outcome or ctx has ended.
func (c *confirmChannel) send(ctx context.Context, messages []*message) {
	n := int64(len(messages))
	if err := c.slots.Acquire(ctx, n); err != nil {
		fail(messages, unknown(context.Cause(ctx)))
		return
	}
	confirms := make([]*amqp.DeferredConfirmation, 0, n)
	err := c.call(ctx, writeGrace, func() error {
		for _, m := range messages {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			confirm, err := c.ch.PublishWithDeferredConfirm(m.exchange, m.key, m.mandatory, false, m.publishing)
			if err != nil {
				return err
			}
			confirms = append(confirms, confirm)
		}
		return nil
	})
	if unsent := messages[len(confirms):]; len(unsent) > 0 {
		if ctx.Err() == nil {
			if !c.ch.IsClosed() {
				c.drop() // the failed write may have sent half a frame
			}
			err = c.cause(ctx)
		}
		fail(unsent, unknown(err))
	}

	confirmed := true
	for i, confirm := range confirms {
		select {
		case <-confirm.Done():
		case <-ctx.Done():
		}
		select {
		case <-confirm.Done():
			messages[i].err = c.outcome(ctx, messages[i], confirm.Acked())
		default:
			messages[i].err = unknown(context.Cause(ctx))
			confirmed = false
		}
	}
	if confirmed {
		c.slots.Release(n)
	} else {
		c.abandoned.Store(true)
	}
}

// outcome returns the outcome of a message whose confirm is resolved. A channel that closes resolves all confirms as not
// acknowledged.
func (c *confirmChannel) outcome(ctx context.Context, m *message, acked bool) error {
	switch {
	case acked && m.mandatory:
		if reason, returned := c.wasReturned(m.number); returned {
			return fmt.Errorf("%w: %s from exchange %s, key %s", transport.ErrUnroutable, reason, m.exchange, m.key)
		}
		return nil
	case acked:
		return nil
	case c.ch.IsClosed():
		return unknown(c.cause(ctx))
	}
	return fmt.Errorf("%w: nack from exchange %s, key %s: a queue is full or has failed", transport.ErrRejected, m.exchange, m.key)
}

// wasReturned reports whether the broker has returned a message. The reader of amqp091-go delivers a return before it
// resolves the confirm. The lock makes receiving and storing a return one step for concurrent callers.
func (c *confirmChannel) wasReturned(number int64) (reason string, returned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		select {
		case r, open := <-c.returns:
			if open {
				n, _ := r.Headers[headerNumber].(int64)
				c.returned[n] = r.ReplyText
				continue
			}
		default:
		}
		reason, returned = c.returned[number]
		delete(c.returned, number)
		return reason, returned
	}
}

// cause returns why the channel ended. It blocks until the channel has ended or ctx ends.
func (c *confirmChannel) cause(ctx context.Context) error {
	select {
	case <-c.done:
		return c.closeErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fail sets the same outcome for all messages.
func fail(messages []*message, err error) {
	for _, m := range messages {
		m.err = err
	}
}

func unknown(cause error) error {
	return fmt.Errorf("rabbitmq: outcome unknown: %w", cause)
}

// isMessageFault reports whether the broker closed the channel or the connection because of a published message.
func isMessageFault(err error) bool {
	var e *amqp.Error
	if !errors.As(err, &e) || !e.Server {
		return false
	}
	switch e.Code {
	case amqp.AccessRefused, amqp.NotFound, amqp.PreconditionFailed, amqp.ContentTooLarge,
		amqp.FrameError, amqp.SyntaxError, amqp.UnexpectedFrame, amqp.NotImplemented:
		return true
	}
	return false
}

// classify returns the outcome of a message because of which the broker closed the channel. Two codes concern the exchange:
// an operator can fix that, so the message is not rejected.
func classify(err error) error {
	var e *amqp.Error
	errors.As(err, &e)
	switch e.Code {
	case amqp.NotFound:
		return fmt.Errorf("%w: %w", transport.ErrUnroutable, e)
	case amqp.AccessRefused:
		return fmt.Errorf("rabbitmq: %w: %w", transport.ErrTopology, e)
	}
	return fmt.Errorf("%w: %w", transport.ErrRejected, e)
}
