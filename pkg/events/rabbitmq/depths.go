package rabbitmq

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Depths counts what waits on the broker in every queue of the topologies: main queues, rungs and dead letters, by the
// name of the queue. A message counts while it is ready to be delivered; one that a consumer holds unacknowledged does
// not, so zero does not mean that nothing is under way.
//
// It blocks until the broker has answered for each queue in turn, or ctx ends. Queues that are missing, or that the
// broker does not show, are named in an error that wraps transport.ErrTopology, and the answer has the others. With
// any other error the answer is nil.
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
