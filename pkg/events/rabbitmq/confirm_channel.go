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

// session is a connection with one channel in confirm mode. It ends with either of them.
type confirmChannel struct {
	*connection
	ch       *amqp.Channel
	done     chan struct{} // closed when the session has ended
	closeErr error         // why; read it after done

	// slots bounds what is in flight to what returns can hold: amqp091 drops a return that finds no room.
	slots   *semaphore.Weighted
	returns chan amqp.Return

	mu       sync.Mutex       // guards returned, and is held while returns is emptied into it
	returned map[int64]string // by publish-number: what the broker says

	users     atomic.Int64
	abandoned atomic.Bool // a caller left without an answer: its slots stay taken
	retired   atomic.Bool // drop it when the last user leaves
}

func openConfirmChannel(ctx context.Context, d *dialer) (*confirmChannel, error) {
	l, err := d.dial(ctx, "publish")
	if err != nil {
		return nil, err
	}
	ch, err := l.channel(ctx)
	if err == nil {
		err = l.call(ctx, writeGrace, func() error { return ch.Confirm(false) })
	}
	if err != nil {
		l.drop()
		return nil, fmt.Errorf("rabbitmq: open channel for confirms: %w", err)
	}
	s := &confirmChannel{
		connection: l, ch: ch, done: make(chan struct{}),
		slots:    semaphore.NewWeighted(maxInFlight),
		returns:  ch.NotifyReturn(make(chan amqp.Return, maxInFlight)),
		returned: map[int64]string{},
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	go func() {
		if err := <-closed; err != nil {
			s.closeErr = err
		} else {
			s.closeErr = amqp.ErrClosed
		}
		close(s.done)
		s.close()
	}()
	return s, nil
}

func (s *confirmChannel) dead() bool { return s.ch.IsClosed() || s.conn.IsClosed() }

func (s *confirmChannel) release() {
	if s.users.Add(-1) == 0 && s.retired.Load() {
		s.drop()
	}
}

// retire lets those finish who are in the session.
func (s *confirmChannel) retire() {
	s.retired.Store(true)
	if s.users.Load() == 0 {
		s.drop()
	}
}

// send publishes letters in order, maxBatch at most, and blocks until each has an outcome or ctx has ended.
func (s *confirmChannel) send(ctx context.Context, letters []*message) {
	n := int64(len(letters))
	if err := s.slots.Acquire(ctx, n); err != nil {
		fail(letters, unknown(context.Cause(ctx)))
		return
	}
	confirms := make([]*amqp.DeferredConfirmation, 0, n)
	err := s.call(ctx, writeGrace, func() error {
		for _, l := range letters {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			confirm, err := s.ch.PublishWithDeferredConfirm(l.exchange, l.key, l.mandatory, false, l.publishing)
			if err != nil {
				return err
			}
			confirms = append(confirms, confirm)
		}
		return nil
	})
	if unsent := letters[len(confirms):]; len(unsent) > 0 {
		if ctx.Err() == nil {
			if !s.ch.IsClosed() {
				s.drop() // the failed write has left half a frame behind
			}
			err = s.cause(ctx)
		}
		fail(unsent, unknown(err))
	}

	answered := true
	for i, confirm := range confirms {
		select {
		case <-confirm.Done():
		case <-ctx.Done():
		}
		select {
		case <-confirm.Done():
			letters[i].err = s.outcome(ctx, letters[i], confirm.Acked())
		default:
			letters[i].err = unknown(context.Cause(ctx))
			answered = false
		}
	}
	if answered {
		s.slots.Release(n)
	} else {
		s.abandoned.Store(true)
	}
}

// outcome of a letter whose confirm is resolved. A channel that closes resolves them all as not acknowledged.
func (s *confirmChannel) outcome(ctx context.Context, l *message, acked bool) error {
	switch {
	case acked && l.mandatory:
		if reason, returned := s.wasReturned(l.number); returned {
			return fmt.Errorf("%w: %s from exchange %s, key %s", transport.ErrUnroutable, reason, l.exchange, l.key)
		}
		return nil
	case acked:
		return nil
	case s.ch.IsClosed():
		return unknown(s.cause(ctx))
	}
	return fmt.Errorf("%w: nack from exchange %s, key %s: a queue is full or has failed", transport.ErrRejected, l.exchange, l.key)
}

// wasReturned relies on the order in which amqp091's reader works: the return is in our channel before the confirm
// is resolved. The lock makes receiving one and noting it a single step for concurrent callers.
func (s *confirmChannel) wasReturned(number int64) (reason string, returned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		select {
		case r, open := <-s.returns:
			if open {
				n, _ := r.Headers[headerNumber].(int64)
				s.returned[n] = r.ReplyText
				continue
			}
		default:
		}
		reason, returned = s.returned[number]
		delete(s.returned, number)
		return reason, returned
	}
}

// cause is why the session ended. Call it when it has, or is about to.
func (s *confirmChannel) cause(ctx context.Context) error {
	select {
	case <-s.done:
		return s.closeErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errNoAnswer = errors.New("the broker did not answer in time")

func unknown(cause error) error {
	return fmt.Errorf("rabbitmq: outcome unknown: %w", cause)
}

// blamesMessage reports whether err is the broker closing the channel or the connection over what was published.
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

// blame is the outcome of a letter that the broker closed the channel over. The two that are about the exchange can
// be mended there, so the letter waits.
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
