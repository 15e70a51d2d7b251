package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// subscription is the life of a consumer on one channel. When it ends, what has not been acknowledged goes back to
// the queue.
type subscription struct {
	*supervisor
	connection *connection
	ch         *amqp.Channel
	deliveries <-chan amqp.Delivery
	cancelled  chan string // the broker took the consumer away

	life    context.Context // ends with the channel
	endLife context.CancelCauseFunc

	consuming context.Context // ends when Consume shall stop
	stopping  atomic.Bool     // start no more deliveries
	requeued  chan error
	settled   atomic.Int64
}

func (s *supervisor) subscribe(ctx context.Context) (*subscription, error) {
	l, ch, err := s.connection.channel(ctx)
	if err != nil {
		return nil, err
	}
	sub := &subscription{
		supervisor: s, connection: l, ch: ch, consuming: ctx,
		cancelled: ch.NotifyCancel(make(chan string, 1)),
		requeued:  make(chan error, 1),
	}
	sub.life, sub.endLife = context.WithCancelCause(context.WithoutCancel(ctx))
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	go func() {
		if err := <-closed; err != nil {
			sub.endLife(err)
		} else {
			sub.endLife(amqp.ErrClosed)
		}
	}()

	err = l.call(ctx, writeGrace, func() error {
		if err := ch.Qos(s.Workers, 0, false); err != nil {
			return err
		}
		var err error
		sub.deliveries, err = ch.Consume(QueueName(s.Queue), s.tag, false, false, false, false, nil)
		return err
	})
	if err != nil {
		sub.close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return sub, nil
}

// run handles deliveries until the channel or the consumer is lost, one is given back, or ctx ends. It returns when
// every running Handle has been settled.
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

// work takes deliveries until there are no more. While stopping it only makes room for those that follow: they
// stay unacknowledged.
func (s *subscription) work() {
	for d := range s.deliveries {
		if !s.stopping.Load() {
			s.handle(d)
		}
	}
}

// stop ends the fetching. The channel stays open, so that what is running can be settled.
func (s *subscription) stop(ctx context.Context) {
	s.stopping.Store(true)
	if err := s.connection.call(ctx, callGrace, func() error { return s.ch.Cancel(s.tag, false) }); err != nil {
		s.close()
	}
}

// lost says why deliveries ended by themselves.
func (s *subscription) lost() error {
	select {
	case _, told := <-s.cancelled:
		if told {
			return errors.New("the broker cancelled the consumer: its queue was deleted or has lost its node")
		}
	default:
	}
	<-s.life.Done()
	return context.Cause(s.life)
}

func (s *subscription) close() {
	// An error says that the channel is gone already.
	_ = s.connection.call(s.consuming, callGrace, s.ch.Close)
}

func (s *subscription) handle(d amqp.Delivery) {
	received := newDelivery(d)
	verdict := s.Handle(received)
	switch verdict.Action {
	case transport.Requeue:
		select {
		case s.requeued <- verdict.Err:
		default:
		}
		return
	case transport.Retry, transport.DeadLetter:
		if !s.move(d, received, verdict) {
			return
		}
	}
	// If it fails, the channel is lost: the delivery comes again and the inbox knows it.
	if err := d.Ack(false); err == nil {
		s.settled.Add(1)
	}
}

// move publishes the delivery to where the verdict sends it, and reports whether the broker has confirmed that. It
// keeps trying while the delivery is ours and nobody waits for the end of it.
func (s *subscription) move(d amqp.Delivery, received transport.Delivery, v transport.Outcome) bool {
	l := forwarded(s.Queue, d, received, v)
	var pause backoff
	for {
		// Not bound to s.life: a caller that gives up costs everybody the publisher's connection.
		s.publisher.publish(context.WithoutCancel(s.consuming), []*message{l})
		if l.err == nil {
			return true
		}
		s.logThrottled("cannot move a delivery to "+l.key, l.err)
		if s.consuming.Err() != nil || s.life.Err() != nil {
			return false
		}
		pause.wait(s.consuming, s.life)
		l.err = nil
	}
}
