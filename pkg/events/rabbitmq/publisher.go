package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// maxBatch is the most letters that one call has in flight; maxInFlight that of all calls together.
const (
	maxBatch    = 256
	maxInFlight = 1024
)

var (
	errClosed  = errors.New("rabbitmq: the transport is closed")
	errBlocked = errors.New("rabbitmq: the broker is low on memory or disk and has blocked publishers")
)

// publisher sends letters on one session that all callers share, and replaces it when it is lost.
type publisher struct {
	dialer *dialer
	number atomic.Int64

	opening *semaphore.Weighted // held while looking at current and opening another; unlike a mutex, it knows contexts
	mu      sync.Mutex          // guards what follows
	current *confirmChannel
	closed  bool
}

func newPublisher(d *dialer) *publisher {
	return &publisher{dialer: d, opening: semaphore.NewWeighted(1)}
}

// publish sends letters in order and blocks until each has an outcome, which it leaves in the letter.
func (p *publisher) publish(ctx context.Context, letters []*message) {
	letters = slices.DeleteFunc(slices.Clone(letters), func(l *message) bool {
		if len(l.exchange) > maxShortString || len(l.key) > maxShortString {
			l.err = fmt.Errorf("%w: exchange or routing key longer than %d bytes", transport.ErrRejected, maxShortString)
		}
		return l.err != nil
	})
	for len(letters) > 0 {
		batch := letters[:min(maxBatch, len(letters))]
		if err := p.send(ctx, batch); err != nil {
			fail(letters, err)
			return
		}
		letters = letters[len(batch):]
	}
}

// send answers an error if nothing was sent.
func (p *publisher) send(ctx context.Context, letters []*message) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.dialer.cfg.ConfirmTimeout, errNoAnswer)
	defer cancel()
	s, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	for _, l := range letters {
		if l.mandatory {
			l.number = p.number.Add(1)
			l.publishing.Headers[headerNumber] = l.number
		}
	}
	s.send(ctx, letters)
	s.release()

	var suspects []*message
	for _, l := range letters {
		if isMessageFault(l.err) {
			suspects = append(suspects, l)
		}
	}
	if len(suspects) > 0 {
		p.sendSingly(ctx, suspects)
	}
	return nil
}

// sendSingly finds out which letters the broker closes the channel over: alone on a session, there is no doubt.
func (p *publisher) sendSingly(ctx context.Context, letters []*message) {
	var s *confirmChannel
	defer func() {
		if s != nil {
			s.close()
		}
	}()
	unusable := map[string]error{}
	for i, l := range letters {
		if err := unusable[l.exchange]; err != nil {
			l.err = err
			continue
		}
		if s == nil || s.dead() {
			var err error
			if s, err = openConfirmChannel(ctx, p.dialer); err != nil {
				fail(letters[i:], err)
				return
			}
		}
		l.err = nil
		s.send(ctx, []*message{l})
		if isMessageFault(l.err) {
			l.err = classify(l.err)
			if !errors.Is(l.err, transport.ErrRejected) {
				unusable[l.exchange] = l.err
			}
		}
	}
}

func fail(letters []*message, err error) {
	for _, l := range letters {
		l.err = err
	}
}

// enter answers the session, opened if need be; leave it after use. It fails at once if the broker is away.
func (p *publisher) acquire(ctx context.Context) (*confirmChannel, error) {
	if err := p.opening.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("rabbitmq: wait for a connection: %w", context.Cause(ctx))
	}
	defer p.opening.Release(1)

	s, err := p.usable()
	if s != nil || err != nil {
		return s, err
	}
	if s, err = openConfirmChannel(ctx, p.dialer); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		s.drop()
		return nil, errClosed
	}
	p.current = s
	s.users.Add(1)
	return s, nil
}

// usable answers the current session if it may be used, nil if another must be opened.
func (p *publisher) usable() (*confirmChannel, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.current
	switch {
	case p.closed:
		return nil, errClosed
	case s == nil || s.dead():
		return nil, nil
	case s.blocked.Load():
		// Kept: the broker will read what we sent when it recovers, and each new session would send it once more.
		return nil, errBlocked
	case s.abandoned.Load():
		s.retire()
		return nil, nil
	}
	s.users.Add(1)
	return s, nil
}

func (p *publisher) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.current != nil {
		p.current.close()
	}
}
