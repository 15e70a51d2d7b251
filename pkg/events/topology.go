package events

import (
	"fmt"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// NewTopology returns the exchanges and queues that a service with these subscriptions needs, for a job that declares
// them. It reports every mistake at once, as New does.
func NewTopology(cfg Config, subscriptions ...Subscription) (transport.Topology, error) {
	cfg = cfg.withDefaults()
	subscriptions, err := check(cfg, subscriptions)
	if err != nil {
		return transport.Topology{}, err
	}
	return newTopology(cfg, subscriptions), nil
}

func newTopology(cfg Config, subscriptions []Subscription) transport.Topology {
	t := transport.Topology{Service: cfg.Service}
	for _, s := range subscriptions {
		t.Queues = append(t.Queues, s.queue(cfg))
	}
	return t
}

func (s Subscription) queue(cfg Config) transport.Queue {
	return transport.Queue{
		Service: cfg.Service, Handler: s.handler, Publisher: s.publisher, Type: s.eventType, RetryDelays: cfg.RetryDelays,
	}
}

// DeadLetter describes an event that is about to become a dead letter. Config.OnDeadLetter receives it.
type DeadLetter struct {
	Queue    transport.Queue
	Metadata Metadata // zero if the envelope could not be decoded
	Body     []byte
	Reason   transport.Reason
	Attempts int
	Err      error
}

// Error describes the dead letter in a line.
func (d DeadLetter) Error() string {
	return fmt.Sprintf("%s: dead letter (%s, attempt %d): %v", d.Queue, d.Reason, d.Attempts, d.Err)
}
