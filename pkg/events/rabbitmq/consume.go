package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/logthrottle"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/retry"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// logInterval is the shortest time between two log lines of one consumer.
const logInterval = 10 * time.Second

// Consume implements transport.Transport. It returns an error only if a consumer is incomplete.
func (t *Transport) Consume(ctx context.Context, consumers []transport.Consumer) error {
	for _, c := range consumers {
		if c.Workers < 1 || c.Handle == nil || c.Ready == nil {
			return fmt.Errorf("rabbitmq: consumer %s needs Workers, Ready and Handle", c.Queue)
		}
	}
	var supervisors sync.WaitGroup
	for _, c := range consumers {
		s := &supervisor{
			Consumer: c, connection: t.consumers, publisher: t.publisher,
			tag:      cut(t.cfg.Name+" "+c.Handler, maxShortString),
			log:      t.cfg.Logger.With("queue", QueueName(c.Queue)),
			throttle: logthrottle.Throttle{Interval: logInterval},
		}
		supervisors.Go(func() { s.run(ctx) })
	}
	supervisors.Wait()
	return nil
}

// supervisor keeps one consumer subscribed until its context ends.
type supervisor struct {
	transport.Consumer
	connection *consumerConnection
	publisher  *publisher
	tag        string
	log        *slog.Logger
	throttle   logthrottle.Throttle
}

func (s *supervisor) run(ctx context.Context) {
	pause := retry.Backoff{First: firstPause, Max: maxPause}
	for ctx.Err() == nil {
		began := time.Now()
		progress, err := s.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		s.logThrottled("consuming interrupted", err)
		if progress || time.Since(began) > maxPause {
			pause.Reset()
		}
		_ = retry.Sleep(ctx, pause.Next())
	}
}

// serve subscribes once. It reports whether a delivery was acknowledged, and why the subscription ended.
func (s *supervisor) serve(ctx context.Context) (progress bool, err error) {
	if err := s.Ready(ctx); err != nil {
		return false, fmt.Errorf("wait until ready: %w", err)
	}
	conn, ch, err := s.connection.channel(ctx)
	if err != nil {
		return false, err
	}
	sub := newSubscription(ctx, conn, ch)
	sub.queue, sub.workers, sub.handle, sub.tag, sub.publisher, sub.warn = s.Queue, s.Workers, s.Handle, s.tag, s.publisher, s.logThrottled
	if err := sub.start(ctx); err != nil {
		return false, err
	}
	err = sub.run(ctx)
	return sub.acknowledged.Load() > 0, err
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
