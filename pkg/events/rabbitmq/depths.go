package rabbitmq

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Depths returns the number of messages in each queue of the topologies, by name: main queues, retry queues, undelivered
// queues and dead-letter queues. It counts messages that are ready to be delivered. Messages that a consumer holds unacknowledged do not count,
// so zero does not mean that no event is being handled.
//
// It blocks until the broker has responded for each queue in turn, or ctx ends. If queues are missing or not accessible, it
// returns the depths of the rest and an error that names the missing ones and wraps transport.ErrTopology. With any other
// error the result is nil.
func (t *Transport) Depths(ctx context.Context, topologies ...transport.Topology) (map[string]int, error) {
	a, err := t.administer(ctx)
	if err != nil {
		return nil, err
	}
	defer a.close()

	depths := map[string]int{}
	for _, topology := range topologies {
		for _, q := range newLayout(topology).queues {
			a.do("queue "+q.name, func(ch *amqp.Channel) error {
				found, err := ch.QueueDeclarePassive(q.name, true, false, false, false, nil)
				if err == nil {
					depths[q.name] = found.Messages
				}
				return err
			})
		}
	}
	if a.err != nil {
		return nil, fmt.Errorf("rabbitmq: count messages: %w", a.err)
	}
	if len(a.rejected) > 0 {
		return depths, fmt.Errorf("rabbitmq: count messages: %w: %w", transport.ErrTopology, errors.Join(a.rejected...))
	}
	return depths, nil
}
