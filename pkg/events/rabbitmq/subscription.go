package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
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
	transport.Consumer
	source    string // the queue it consumes
	givenUp   bool   // the queue holds what the broker has given up
	decode    func(amqp.Delivery) transport.Delivery
	tag       string
	publisher *publisher
	warn      func(msg string, err error)

	connection *connection
	ch         *amqp.Channel
	deliveries <-chan amqp.Delivery
	cancelled  chan string // the broker cancelled the consumer

	life    context.Context // ends with the channel
	endLife context.CancelCauseFunc

	consuming context.Context // ends when Consume shall stop
	stopping  atomic.Bool     // no more deliveries are handled
	requeued  chan error
	settled   atomic.Int64 // deliveries that were acknowledged or rejected
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
		if err := s.ch.Qos(s.Workers, 0, false); err != nil {
			return err
		}
		var err error
		s.deliveries, err = s.ch.Consume(s.source, s.tag, false, false, false, false, nil)
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
	for range s.Workers {
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

// process handles one delivery and carries out the outcome. A panic rejects the delivery, since it would come again: the
// broker moves it to the undelivered queue or, from there, to the dead letters.
func (s *subscription) process(d amqp.Delivery) {
	defer func() {
		if p := recover(); p != nil {
			s.warn("rejected a delivery", fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			s.settle(d.Reject(false))
		}
	}()
	received := s.decode(d)
	outcome := s.Handle(received)
	switch outcome.Action {
	case transport.Requeue:
		select {
		case s.requeued <- outcome.Err:
		default:
		}
	case transport.Ack:
		s.settle(d.Ack(false))
	case transport.Retry, transport.DeadLetter:
		s.move(d, forwarded(s.Queue, d, received, outcome), outcome)
	}
}

// settle counts a delivery that was acknowledged or rejected. An error means that the channel is lost: the event is
// delivered again, and its inbox record exists.
func (s *subscription) settle(err error) {
	if err == nil {
		s.settled.Add(1)
	}
}

// move publishes the delivery to its retry queue or dead-letter queue and acknowledges it once the broker has confirmed
// that. It retries while the delivery belongs to this channel and Consume is not to stop. If the broker does not accept
// the message, move rejects the delivery: the broker moves it, unchanged, to the undelivered queue or, from there, to the
// dead letters.
func (s *subscription) move(d amqp.Delivery, m *message, outcome transport.Outcome) {
	either, cancel := context.WithCancel(s.life)
	defer cancel()
	defer context.AfterFunc(s.consuming, cancel)()
	pause := retry.Backoff{First: firstPause, Max: maxPause}
	for {
		// Not bound to s.life: a caller that gives up ends the connection of all publishers.
		s.publisher.publish(context.WithoutCancel(s.consuming), []*message{m})
		if m.err == nil {
			complete(outcome)
			s.settle(d.Ack(false))
			return
		}
		s.warn("cannot move a delivery to "+m.key, m.err)
		if isRefused(m.err) {
			if s.givenUp {
				complete(outcome)
			}
			s.settle(d.Reject(false))
			return
		}
		if s.consuming.Err() != nil || s.life.Err() != nil {
			return
		}
		_ = retry.Sleep(either, pause.Next())
		m.err = nil
	}
}

// isRefused reports whether the broker will not accept a message. A full queue may accept it later.
func isRefused(err error) bool {
	var e *amqp.Error
	return errors.Is(err, transport.ErrRejected) && errors.As(err, &e)
}

// complete reports a dead letter that is stored.
func complete(outcome transport.Outcome) {
	if outcome.Action == transport.DeadLetter && outcome.Completed != nil {
		outcome.Completed()
	}
}
