package events

import "github.com/quadrille-dev/quadrille/pkg/events/transport"

// NewTopology returns the exchanges and queues that a service with these subscriptions needs, for a deployment job that
// declares them. It reports every mistake at once, as New does.
func NewTopology(cfg Config, subscriptions ...Subscription) (transport.Topology, error) {
	cfg = cfg.withDefaults()
	subscriptions, err := validate(cfg, subscriptions)
	if err != nil {
		return transport.Topology{}, err
	}
	return newTopology(cfg, subscriptions), nil
}

func newTopology(cfg Config, subscriptions []Subscription) transport.Topology {
	t := transport.Topology{Service: cfg.Service}
	for _, s := range subscriptions {
		t.Queues = append(t.Queues, transport.Queue{
			Service: cfg.Service, Handler: s.handler, Publisher: s.publisher, Type: s.eventType, RetryDelays: cfg.RetryDelays,
		})
	}
	return t
}
