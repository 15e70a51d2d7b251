package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

var (
	errClosed  = errors.New("rabbitmq: the transport is closed")
	errBlocked = errors.New("rabbitmq: the broker is low on memory or disk and has blocked publishers")
)

// publisher publishes messages on one confirm channel that all callers share, and replaces it when it is lost.
type publisher struct {
	dial           dialFunc
	confirmTimeout time.Duration
	number         atomic.Int64

	opening *semaphore.Weighted // held while current is checked and replaced; unlike a mutex, it respects a context
	mu      sync.Mutex          // guards what follows
	current *confirmChannel
	closed  bool
}

func newPublisher(dial dialFunc, confirmTimeout time.Duration) *publisher {
	return &publisher{dial: dial, confirmTimeout: confirmTimeout, opening: semaphore.NewWeighted(1)}
}

// publish sends messages in order and blocks until each has an outcome, which it stores in the message.
func (p *publisher) publish(ctx context.Context, messages []*message) {
	messages = slices.DeleteFunc(slices.Clone(messages), func(m *message) bool {
		if len(m.exchange) > maxShortString || len(m.key) > maxShortString {
			m.err = fmt.Errorf("%w: exchange or routing key longer than %d bytes", transport.ErrRejected, maxShortString)
		}
		return m.err != nil
	})
	for len(messages) > 0 {
		batch := messages[:min(maxBatch, len(messages))]
		if err := p.send(ctx, batch); err != nil {
			fail(messages, err)
			return
		}
		messages = messages[len(batch):]
	}
}

// send returns an error if it sent nothing.
func (p *publisher) send(ctx context.Context, messages []*message) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.confirmTimeout, errNoConfirm)
	defer cancel()
	c, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if m.mandatory {
			m.number = p.number.Add(1)
			m.publishing.Headers[headerNumber] = m.number
		}
	}
	c.send(ctx, messages)
	c.release()

	var suspects []*message
	for _, m := range messages {
		if isMessageFault(m.err) {
			suspects = append(suspects, m)
		}
	}
	if len(suspects) > 0 {
		p.sendSingly(ctx, suspects)
	}
	return nil
}

// sendSingly finds the messages over which the broker closes the channel, by sending each of them alone.
func (p *publisher) sendSingly(ctx context.Context, messages []*message) {
	var c *confirmChannel
	defer func() {
		if c != nil {
			c.close()
		}
	}()
	unusable := map[string]error{}
	for i, m := range messages {
		if err := unusable[m.exchange]; err != nil {
			m.err = err
			continue
		}
		if c == nil || c.isClosed() {
			var err error
			if c, err = openConfirmChannel(ctx, p.dial); err != nil {
				fail(messages[i:], err)
				return
			}
		}
		m.err = nil
		c.send(ctx, []*message{m})
		if isMessageFault(m.err) {
			m.err = classify(m.err)
			if !errors.Is(m.err, transport.ErrRejected) {
				unusable[m.exchange] = m.err
			}
		}
	}
}

// acquire returns the current channel, or opens one. The caller releases it after use. It fails at once if the broker
// cannot be reached.
func (p *publisher) acquire(ctx context.Context) (*confirmChannel, error) {
	if err := p.opening.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("rabbitmq: wait for a connection: %w", context.Cause(ctx))
	}
	defer p.opening.Release(1)

	c, err := p.usable()
	if c != nil || err != nil {
		return c, err
	}
	if c, err = openConfirmChannel(ctx, p.dial); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.drop()
		return nil, errClosed
	}
	p.current = c
	c.users.Add(1)
	return c, nil
}

// usable returns the current channel, or nil if another one must be opened.
func (p *publisher) usable() (*confirmChannel, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.current
	switch {
	case p.closed:
		return nil, errClosed
	case c == nil || c.isClosed():
		return nil, nil
	case c.blocked.Load():
		// The channel is kept: the broker reads what was sent once it recovers. A new channel would send it once more.
		return nil, errBlocked
	case c.abandoned.Load():
		c.retire()
		return nil, nil
	}
	c.users.Add(1)
	return c, nil
}

func (p *publisher) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.current != nil {
		p.current.close()
	}
}
