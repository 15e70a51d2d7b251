package events

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Transport carries encoded events from the outbox of one service to the subscriptions of all. Package rabbitmq
// has one; package eventstest is the suite that every transport passes. Methods are safe for concurrent use.
type Transport interface {
	// Publish sends messages in the given order and blocks until each has an outcome or ctx ends. It answers one
	// error per message: nil means that the broker is responsible for it now; ErrUnroutable that no queue wanted a
	// mandatory one; ErrRefused that the broker will not take this message; any other that the outcome is unknown,
	// so the message must be sent again.
	Publish(ctx context.Context, msgs []Message) []error

	// Consume delivers to all consumers until ctx ends, whatever happens to connections meanwhile. It then stops
	// fetching and returns once every running Handle has returned and its verdict has been carried out.
	Consume(ctx context.Context, consumers []Consumer) error

	// Check reports what the topology lacks on the broker, each missing piece by name; nil if nothing. An error
	// that wraps ErrTopology is the operator's to mend, any other a broker that does not answer.
	Check(ctx context.Context, t Topology) error

	// Close releases connections. It blocks for seconds at most.
	Close() error

	Names
}

// Names says what a transport's messaging system calls things, for telemetry.
type Names interface {
	// System is the messaging system: "rabbitmq".
	System() string
	// Destination is where events of a type are sent to: "order.events:order.created.v1".
	Destination(publisher, eventType string) string
	// Source is where the deliveries of a queue come from: "order.events:order.created.v1:inventory.order-created.q".
	Source(q Queue) string
}

// Outcomes of Transport.Publish and Transport.Check; compare with errors.Is.
var (
	ErrUnroutable = errors.New("events: no queue is bound to this event")
	ErrRefused    = errors.New("events: refused by the broker")
	ErrTopology   = errors.New("events: topology incomplete")
)

// Message is an encoded event on its way to the broker.
type Message struct {
	Metadata
	Publisher string // the service that sends it: names the exchange
	Mandatory bool   // answer ErrUnroutable if no queue takes it
	Body      []byte // the envelope
}

// Delivery is an encoded event on its way to a reaction.
type Delivery struct {
	Body          []byte
	Attempt       int       // 1 for the first
	FirstFailedAt time.Time // zero until it failed
	LastError     string
	TraceParent   string     // of the attempt that failed last
	DeadReason    DeadReason // set if it comes back from the dead letters
}

// Consumer is one subscription as a transport sees it.
type Consumer struct {
	Queue
	Workers int // deliveries handled at once, and no more are prefetched

	// Ready blocks until deliveries can be handled. A transport calls it before it starts or resumes to fetch.
	Ready func(ctx context.Context) error
	// Handle blocks until the verdict is known.
	Handle func(d Delivery) Verdict
}

// Verdict says what becomes of a delivery. The zero value is Done.
type Verdict struct {
	Action Action
	Delay  time.Duration // Retry: not sooner than this
	Reason DeadReason    // Dead: why
	Err    error         // Retry, Dead, GiveBack: what went wrong
	// FirstFailedAt is set for Retry and Dead.
	FirstFailedAt time.Time
	Attempt       int    // deliveries so far that count
	TraceParent   string // of this attempt, for the next one
}

// Action is what a transport does with a delivery.
type Action int

const (
	// Done: the effects are committed, the delivery may be forgotten.
	Done Action = iota
	// Retry: deliver again after a delay, with Attempt one higher.
	Retry
	// Dead: move to the dead letters.
	Dead
	// GiveBack: deliver again as if it had not been, after Ready.
	GiveBack
)

// DeadReason classifies dead letters.
type DeadReason string

const (
	// DeadFailed: the ladder is used up.
	DeadFailed DeadReason = "failed"
	// DeadPermanent: the reaction said so, with Permanent.
	DeadPermanent DeadReason = "permanent"
	// DeadUndecodable: not an envelope, or not this ETO.
	DeadUndecodable DeadReason = "undecodable"
	// DeadIncompatible: a type or version that this subscription does not know.
	DeadIncompatible DeadReason = "incompatible"
)

// Queue is where the events for one reaction of one service wait.
type Queue struct {
	Service   string // inventory
	Reaction  string // order-created
	Publisher string // order
	Type      string // order.created.v1
	Ladder    []time.Duration
}

// String is "service.reaction".
func (q Queue) String() string { return q.Service + "." + q.Reaction }

// Name is the event's type without its version: a queue receives every version and dispatches on the exact one.
func (q Queue) Name() string { return typePattern.FindStringSubmatch(q.Type)[1] }

// Topology is what one service needs on the broker.
type Topology struct {
	Service string
	Queues  []Queue
}

// TopologyOf derives the topology of a service from its subscriptions, for the job that declares it. It reports
// every mistake at once, as New does.
func TopologyOf(cfg Config, subscriptions ...Subscription) (Topology, error) {
	cfg = cfg.withDefaults()
	if err := check(cfg, subscriptions); err != nil {
		return Topology{}, err
	}
	return topologyOf(cfg, subscriptions), nil
}

func topologyOf(cfg Config, subscriptions []Subscription) Topology {
	t := Topology{Service: cfg.Service}
	for _, s := range subscriptions {
		t.Queues = append(t.Queues, s.queue(cfg))
	}
	return t
}

func (s Subscription) queue(cfg Config) Queue {
	return Queue{
		Service: cfg.Service, Reaction: s.reaction, Publisher: s.publisher, Type: s.eventType, Ladder: cfg.RetryLadder,
	}
}

// DeadLetter is what the hook on dead-letters is told.
type DeadLetter struct {
	Queue    Queue
	Metadata Metadata // zero if the envelope could not be decoded
	Body     []byte
	Reason   DeadReason
	Attempts int
	Err      error
}

// Error describes the dead letter in a line.
func (d DeadLetter) Error() string {
	return fmt.Sprintf("%s: dead letter (%s, attempt %d): %v", d.Queue, d.Reason, d.Attempts, d.Err)
}
