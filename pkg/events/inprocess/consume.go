package inprocess

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/logthrottle"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/retry"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Pauses between attempts of a consumer to attach to its queue, and to carry out an outcome.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = 5 * time.Second
)

// logInterval is the shortest time between two log lines of one consumer.
const logInterval = 10 * time.Second

// errRequeued ends a consumer that could not handle its deliveries. The next one starts when Ready has returned.
var errRequeued = errors.New("deliveries requeued")

// supervisor keeps one consumer attached to its queue until its context ends.
type supervisor struct {
	transport.Consumer
	attach   func(transport.Queue) (*consumer, error)
	log      *slog.Logger
	throttle logthrottle.Throttle
}

func (s *supervisor) run(ctx context.Context) {
	pause := retry.Backoff{First: firstPause, Max: maxPause}
	for ctx.Err() == nil {
		progress, err := s.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		s.logThrottled("consuming interrupted", err)
		if progress {
			pause.Reset()
		}
		_ = retry.Sleep(ctx, pause.Next())
	}
}

// serve consumes until an error occurs, a delivery is requeued, or ctx ends. It returns when every running Handle has
// returned and its outcome has been carried out, and reports whether that was done for any.
func (s *supervisor) serve(ctx context.Context) (progress bool, err error) {
	if err := s.Ready(ctx); err != nil {
		return false, fmt.Errorf("wait until ready: %w", err)
	}
	c, err := s.attach(s.Queue)
	if err != nil {
		return false, err
	}
	defer c.detach()
	fetching, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	var (
		running   sync.WaitGroup
		completed atomic.Bool
		free      = make(chan struct{}, s.Workers)
	)
	for range s.Workers {
		free <- struct{}{}
	}
	for fetching.Err() == nil {
		limit := acquire(fetching, free)
		if limit == 0 {
			break
		}
		list, err := c.fetch(fetching, limit)
		if err != nil {
			stop(err)
			break
		}
		if fetching.Err() != nil {
			break // detach requeues what was fetched
		}
		for range limit - len(list) {
			free <- struct{}{}
		}
		for _, e := range list {
			running.Go(func() {
				defer func() { free <- struct{}{} }()
				if err := s.handle(ctx, c, e); err != nil {
					stop(err)
					return
				}
				completed.Store(true)
			})
		}
	}
	running.Wait()
	return completed.Load(), context.Cause(fetching)
}

// acquire blocks until a worker is free, takes all that are free, and returns their number. It returns 0 if ctx ends
// first.
func acquire(ctx context.Context, free chan struct{}) (n int) {
	select {
	case <-free:
	case <-ctx.Done():
		return 0
	}
	for n = 1; ; n++ {
		select {
		case <-free:
		default:
			return n
		}
	}
}

// handle calls the handler with one event and carries out the outcome. It retries that while the consumer is attached and
// ctx lasts. If it gives up, the event is delivered again and the inbox ignores it.
func (s *supervisor) handle(ctx context.Context, c *consumer, e storedEvent) error {
	outcome := s.Handle(e.delivery())
	if outcome.Action == transport.Requeue {
		return fmt.Errorf("%w: %w", errRequeued, outcome.Err)
	}
	pause := retry.Backoff{First: firstPause, Max: maxPause}
	for {
		err := c.complete(context.WithoutCancel(ctx), e, outcome)
		if err == nil || errors.Is(err, errDetached) || ctx.Err() != nil {
			return err
		}
		s.logThrottled("cannot complete a delivery", err)
		_ = retry.Sleep(ctx, pause.Next())
	}
}

// logThrottled logs an error, once in logInterval.
func (s *supervisor) logThrottled(msg string, err error) {
	suppressed, ok := s.throttle.Allow(time.Now())
	if !ok {
		return
	}
	level := slog.LevelError
	if errors.Is(err, errRequeued) {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, msg, "error", err, "suppressed", suppressed)
}
