package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/retry"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Pauses between subscriptions of a consumer, and between attempts to move a delivery.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// errRequeued ends a subscription that could not handle its deliveries.
var errRequeued = errors.New("deliveries requeued")

// subscription is one consumer on one channel. When it ends, the broker requeues what is not acknowledged.
type subscription struct {
	queue     transport.Queue
	workers   int
	handle    func(transport.Delivery) transport.Outcome
	tag       string
	publisher *publisher
	warn      func(msg string, err error)

	connection *connection
	ch         *amqp.Channel
	deliveries <-chan amqp.Delivery
	cancelled  chan string // the broker cancelled the consumer

	life    context.Context // ends with the channel
	endLife context.CancelCauseFunc

	consuming    context.Context // ends when Consume shall stop
	stopping     atomic.Bool     // no more deliveries are handled
	requeued     chan error
	acknowledged atomic.Int64
}

func newSubscription(ctx context.Context, conn *connection, ch *amqp.Channel) *subscription {
	s := &subscription{
		connection: conn, ch: ch, consuming: ctx,
		cancelled: ch.NotifyCancel(make(chan string, 1)),
		requeued:  make(chan error, 1),
	}
	s.life, s.endLife = context.WithCancelCause(context.WithoutCancel(ctx))
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	go func() {
		if err := <-closed; err != nil {
			s.endLife(err)
		} else {
			s.endLife(amqp.ErrClosed)
		}
	}()
	return s
}

// start subscribes to the queue.
func (s *subscription) start(ctx context.Context) error {
	err := s.connection.call(ctx, writeGrace, func() error {
		if err := s.ch.Qos(s.workers, 0, false); err != nil {
			return err
		}
		var err error
		s.deliveries, err = s.ch.Consume(QueueName(s.queue), s.tag, false, false, false, false, nil)
		return err
	})
	if err != nil {
		s.close()
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// run handles deliveries until the channel or the consumer is lost, a delivery is requeued, or ctx ends. It returns when
// every running handler has returned and its outcome has been carried out.
func (s *subscription) run(ctx context.Context) error {
	defer s.close()
	done := make(chan struct{})
	var workers sync.WaitGroup
	for range s.workers {
		workers.Go(s.work)
	}
	go func() {
		workers.Wait()
		close(done)
	}()

	select {
	case <-done:
		return s.lost()
	case err := <-s.requeued:
		s.stop(ctx)
		<-done
		return fmt.Errorf("%w: %w", errRequeued, err)
	case <-ctx.Done():
		s.stop(ctx)
		<-done
		return nil
	}
}

// work handles deliveries until there are no more. While stopping, it discards them: they stay unacknowledged.
func (s *subscription) work() {
	for d := range s.deliveries {
		if !s.stopping.Load() {
			s.process(d)
		}
	}
}

// stop cancels the consumer. The channel stays open for the acknowledgements of running handlers.
func (s *subscription) stop(ctx context.Context) {
	s.stopping.Store(true)
	if err := s.connection.call(ctx, callGrace, func() error { return s.ch.Cancel(s.tag, false) }); err != nil {
		s.close()
	}
}

// lost returns why the broker ended the deliveries.
func (s *subscription) lost() error {
	select {
	case _, ok := <-s.cancelled:
		if ok {
			return errors.New("the broker cancelled the consumer: its queue was deleted or has lost its node")
		}
	default:
	}
	<-s.life.Done()
	return context.Cause(s.life)
}

func (s *subscription) close() {
	// An error means that the channel is closed already.
	_ = s.connection.call(s.consuming, callGrace, s.ch.Close)
}

// process handles one delivery and carries out the outcome.
func (s *subscription) process(d amqp.Delivery) {
	received := newDelivery(d)
	outcome := s.handle(received)
	switch outcome.Action {
	case transport.Requeue:
		select {
		case s.requeued <- outcome.Err:
		default:
		}
		return
	case transport.Retry, transport.DeadLetter:
		if !s.move(d, received, outcome) {
			return
		}
	case transport.Ack:
	}
	// An error means that the channel is lost: the event is delivered again, and its inbox record exists.
	if err := d.Ack(false); err == nil {
		s.acknowledged.Add(1)
	}
}

// move publishes the delivery to its retry queue or dead-letter queue and reports whether the broker has confirmed that.
// It retries while the delivery belongs to this channel and Consume is not to stop.
func (s *subscription) move(d amqp.Delivery, received transport.Delivery, outcome transport.Outcome) bool {
	m := forwarded(s.queue, d, received, outcome)
	either, cancel := context.WithCancel(s.life)
	defer cancel()
	defer context.AfterFunc(s.consuming, cancel)()
	pause := retry.Backoff{First: firstPause, Max: maxPause}
	for {
		// Not bound to s.life: a caller that gives up ends the connection of all publishers.
		s.publisher.publish(context.WithoutCancel(s.consuming), []*message{m})
		if m.err == nil {
			return true
		}
		s.warn("cannot move a delivery to "+m.key, m.err)
		if s.consuming.Err() != nil || s.life.Err() != nil {
			return false
		}
		_ = retry.Sleep(either, pause.Next())
		m.err = nil
	}
}
