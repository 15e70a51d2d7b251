package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/semaphore"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// logInterval is the least time between two log lines about the same consumer's troubles.
const logInterval = 10 * time.Second

// errGivenBack ends a subscription that could not handle its deliveries.
var errRequeued = errors.New("deliveries given back")

// Consume implements transport.Transport. It answers an error only for consumers that make no sense.
func (t *Transport) Consume(ctx context.Context, consumers []transport.Consumer) error {
	for _, c := range consumers {
		if c.Workers < 1 || c.Handle == nil || c.Ready == nil {
			return fmt.Errorf("rabbitmq: consumer %s needs Workers, Ready and Handle", c.Queue)
		}
	}
	hub := &consumerConnection{dialer: t.dialer, opening: semaphore.NewWeighted(1)}
	defer hub.close()
	var supervisors sync.WaitGroup
	for _, c := range consumers {
		s := &supervisor{
			Consumer: c, connection: hub, publisher: t.publisher,
			tag: cut(t.cfg.Name+" "+c.Handler, maxShortString),
			log: t.cfg.Logger.With("queue", QueueName(c.Queue)),
		}
		supervisors.Go(func() { s.run(ctx) })
	}
	supervisors.Wait()
	return nil
}

// hub is the connection that consumers share, each with a channel of its own.
type consumerConnection struct {
	dialer  *dialer
	opening *semaphore.Weighted // guards current
	current *connection
}

func (h *consumerConnection) channel(ctx context.Context) (*connection, *amqp.Channel, error) {
	l, err := h.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	ch, err := l.channel(ctx)
	return l, ch, err
}

func (h *consumerConnection) open(ctx context.Context) (*connection, error) {
	if err := h.opening.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer h.opening.Release(1)
	if h.current != nil && !h.current.conn.IsClosed() {
		return h.current, nil
	}
	l, err := h.dialer.dial(ctx, "consume")
	if err == nil {
		h.current = l
	}
	return l, err
}

// close is called when no consumer is left.
func (h *consumerConnection) close() {
	if h.current != nil {
		h.current.close()
	}
}

// supervisor keeps one consumer subscribed until its context ends. Whatever happens to another is nothing to it.
type supervisor struct {
	transport.Consumer
	connection *consumerConnection
	publisher  *publisher
	tag        string
	log        *slog.Logger

	mu         sync.Mutex // guards what follows
	loggedAt   time.Time
	suppressed int
}

func (s *supervisor) run(ctx context.Context) {
	var pause backoff
	for ctx.Err() == nil {
		began := time.Now()
		worked, err := s.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		s.logThrottled("consuming interrupted", err)
		if worked || time.Since(began) > maxPause {
			pause.reset()
		}
		pause.wait(ctx, ctx)
	}
}

// serve subscribes once. It reports whether any delivery was settled, and why it ended.
func (s *supervisor) serve(ctx context.Context) (worked bool, err error) {
	if err := s.Ready(ctx); err != nil {
		return false, fmt.Errorf("wait until ready: %w", err)
	}
	sub, err := s.subscribe(ctx)
	if err != nil {
		return false, err
	}
	err = sub.run(ctx)
	return sub.settled.Load() > 0, err
}

// complain logs trouble, seldom enough to be read.
func (s *supervisor) logThrottled(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.loggedAt) < logInterval {
		s.suppressed++
		return
	}
	level := slog.LevelError
	if errors.Is(err, errRequeued) {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, what, "error", err, "not_logged_before", s.suppressed)
	s.loggedAt, s.suppressed = time.Now(), 0
}
