package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/logthrottle"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/retry"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// logInterval is the shortest time between two log lines of one consumer.
const logInterval = 10 * time.Second

// Consume implements transport.Transport. Each consumer has two queues: its own, and the undelivered queue, whose messages
// it makes dead letters. It returns an error only if a consumer is incomplete.
func (t *Transport) Consume(ctx context.Context, consumers []transport.Consumer) error {
	for _, c := range consumers {
		if c.Workers < 1 || c.Handle == nil || c.Ready == nil {
			return fmt.Errorf("rabbitmq: consumer %s needs Workers, Ready and Handle", c.Queue)
		}
	}
	var supervisors sync.WaitGroup
	for _, c := range consumers {
		undelivered := c
		undelivered.Workers = 1
		for _, s := range []*supervisor{
			{Consumer: c, source: QueueName(c.Queue), decode: newDelivery},
			{
				Consumer: undelivered, source: UndeliveredQueueName(c.Queue), givenUp: true,
				decode: func(d amqp.Delivery) transport.Delivery { return newUndelivered(c.Queue, d) },
			},
		} {
			s.connection, s.publisher = t.consumers, t.publisher
			s.tag = cut(t.cfg.Name+" "+s.source, maxShortString)
			s.log = t.cfg.Logger.With("queue", s.source)
			s.throttle.Interval = logInterval
			supervisors.Go(func() { s.run(ctx) })
		}
	}
	supervisors.Wait()
	return nil
}

// supervisor keeps one consumer subscribed until its context ends.
type supervisor struct {
	transport.Consumer
	source     string // the queue it consumes
	givenUp    bool   // the queue holds what the broker has given up
	decode     func(amqp.Delivery) transport.Delivery
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

// serve subscribes once. It reports whether a delivery was settled, and why the subscription ended.
func (s *supervisor) serve(ctx context.Context) (progress bool, err error) {
	if err := s.Ready(ctx); err != nil {
		return false, fmt.Errorf("wait until ready: %w", err)
	}
	conn, ch, err := s.connection.channel(ctx)
	if err != nil {
		return false, err
	}
	sub := newSubscription(ctx, conn, ch)
	sub.Consumer, sub.source, sub.givenUp, sub.decode = s.Consumer, s.source, s.givenUp, s.decode
	sub.tag, sub.publisher, sub.warn = s.tag, s.publisher, s.logThrottled
	if err := sub.start(ctx); err != nil {
		return false, err
	}
	err = sub.run(ctx)
	return sub.settled.Load() > 0, err
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
