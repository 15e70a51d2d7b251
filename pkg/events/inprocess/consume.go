package inprocess

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// logInterval is the least time between two log lines about the same consumer's troubles.
const logInterval = 10 * time.Second

// errGivenBack ends a stay at the desk, so that the consumer is asked whether it is ready before it gets more.
var errGivenBack = errors.New("deliveries given back")

// supervisor keeps one consumer at its queue until its context ends. Whatever happens to another is nothing to it.
type supervisor struct {
	transport.Consumer
	broker exchange
	log    *slog.Logger

	mu         sync.Mutex // guards what follows
	complained time.Time
	silenced   int
}

func (s *supervisor) run(ctx context.Context) {
	var pause backoff
	for ctx.Err() == nil {
		worked, err := s.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		s.complain("consuming interrupted", err)
		if worked {
			pause.reset()
		}
		pause.wait(ctx)
	}
}

// serve stays at the desk until something goes wrong, a delivery is given back, or ctx ends. It returns when every
// running Handle has been settled, and reports whether any has.
func (s *supervisor) serve(ctx context.Context) (worked bool, err error) {
	if err := s.Ready(ctx); err != nil {
		return false, fmt.Errorf("wait until ready: %w", err)
	}
	desk, err := s.broker.attach(s.Queue)
	if err != nil {
		return false, err
	}
	defer desk.leave()
	taking, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	var (
		running sync.WaitGroup
		settled atomic.Bool
		free    = make(chan struct{}, s.Workers)
	)
	for range s.Workers {
		free <- struct{}{}
	}
	for taking.Err() == nil {
		limit := await(taking, free)
		if limit == 0 {
			break
		}
		list, err := desk.take(taking, limit)
		if err != nil {
			stop(err)
			break
		}
		if taking.Err() != nil {
			break // what was taken is given back unseen
		}
		for range limit - len(list) {
			free <- struct{}{}
		}
		for _, e := range list {
			running.Go(func() {
				defer func() { free <- struct{}{} }()
				if err := s.handle(ctx, desk, e); err != nil {
					stop(err)
					return
				}
				settled.Store(true)
			})
		}
	}
	running.Wait()
	return settled.Load(), context.Cause(taking)
}

// await waits for a free worker and answers how many there are, which are the caller's now; 0 if ctx ended first.
func await(ctx context.Context, free chan struct{}) (n int) {
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

// handle takes one event to its verdict and carries that out. It keeps trying while the event is ours and nobody waits
// for the end of it; if it gives up, the event comes again and the inbox knows it.
func (s *supervisor) handle(ctx context.Context, desk consumer, e storedEvent) error {
	verdict := s.Handle(e.delivery())
	if verdict.Action == transport.Requeue {
		return fmt.Errorf("%w: %w", errGivenBack, verdict.Err)
	}
	var pause backoff
	for {
		err := desk.settle(context.WithoutCancel(ctx), e, verdict)
		if err == nil || errors.Is(err, errGone) || ctx.Err() != nil {
			return err
		}
		s.complain("cannot settle a delivery", err)
		pause.wait(ctx)
	}
}

// complain logs trouble, seldom enough to be read.
func (s *supervisor) complain(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.complained) < logInterval {
		s.silenced++
		return
	}
	level := slog.LevelError
	if errors.Is(err, errGivenBack) {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, what, "error", err, "not_logged_before", s.silenced)
	s.complained, s.silenced = time.Now(), 0
}
