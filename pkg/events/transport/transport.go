// Package transport is for authors of transports: it declares what package events asks of a message broker, and the
// types in which the two talk to each other. Users of package events meet two of them: the Transport that they pass to
// events.New, and the Topology that a deployment job declares.
//
// Packages rabbitmq and inprocess are transports; package eventstest has the conformance suite that each of them passes.
package transport

import (
	"context"
	"errors"
	"regexp"
	"time"
)

// Transport carries encoded events from the outbox of one service to the queues of all services that subscribe. Its
// methods are safe for concurrent use.
type Transport interface {
	// Publish sends messages in the given order and blocks until each has an outcome or ctx ends. It returns one
	// error per message: nil means that the broker has taken responsibility for it, [ErrUnroutable] that no queue is
	// bound to a mandatory message, [ErrRejected] that the broker will not take this message. Any other error means
	// that the outcome is unknown and that the message must be sent again.
	Publish(ctx context.Context, msgs []Message) []error

	// Consume delivers to all consumers until ctx ends and reconnects by itself. When ctx ends it stops fetching, and
	// returns once every running Handle has returned and its outcome has been carried out.
	Consume(ctx context.Context, consumers []Consumer) error

	// Check reports by name every piece of the topology that the broker lacks, and nil if it lacks none. An error that
	// wraps [ErrTopology] must be repaired by an operator; any other error means that the broker could not be asked.
	Check(ctx context.Context, t Topology) error

	// Close releases connections. It blocks for seconds at most.
	Close() error

	Names
}

// Declarer is implemented by transports that can declare a topology. It is what events.Config.DeclareTopology uses.
type Declarer interface {
	// Declare declares exchanges, queues and bindings. It is idempotent and deletes nothing.
	Declare(ctx context.Context, topologies ...Topology) error
}

// Names are the names that a messaging system has for destinations and sources. Telemetry uses them.
type Names interface {
	// System is the messaging system: "rabbitmq".
	System() string
	// Destination is where events of a type are sent: "order.events:order.created.v1".
	Destination(publisher, eventType string) string
	// Source is where the deliveries of a queue come from: "order.events:order.created.v1:inventory.order-created.q".
	Source(q Queue) string
}

// Errors of [Transport.Publish] and [Transport.Check]; compare with errors.Is.
var (
	ErrUnroutable = errors.New("events: no queue is bound to this event")
	ErrRejected   = errors.New("events: rejected by the broker")
	ErrTopology   = errors.New("events: topology incomplete")
)

// Message is an encoded event on its way to the broker.
type Message struct {
	Metadata
	Publisher string // the publishing service; it names the exchange
	Mandatory bool   // the outcome is ErrUnroutable if no queue takes the message
	Body      []byte // the encoded Envelope
}

// Delivery is an encoded event on its way to a handler.
type Delivery struct {
	Body             []byte
	Attempt          int       // 1 for the first
	FirstFailedAt    time.Time // zero before the first failure
	LastError        string
	TraceParent      string // of the attempt that failed last
	DeadLetterReason Reason // set if the delivery was replayed from the dead letters

	// Failure is set if the event must become a dead letter without reaching its handler: the transport could not decode
	// the message, or the broker has given it up.
	Failure *Failure
}

// MaxAttempts is the largest number of attempts so far that a transport reports. A larger one was not counted but forged,
// and is taken for this one.
const MaxAttempts = 1 << 20

// Failure is why a delivery cannot be handled.
type Failure struct {
	Reason Reason
	Err    error
}

// Consumer is one subscription as a transport sees it.
type Consumer struct {
	Queue
	Workers int // deliveries handled at once; no more are prefetched

	// Ready blocks until deliveries can be handled. A transport calls it before it starts or resumes fetching.
	Ready func(ctx context.Context) error
	// Handle blocks until the outcome is known.
	Handle func(d Delivery) Outcome
}

// Outcome is what a transport does with a delivery after its handler has run. The zero value acknowledges it.
type Outcome struct {
	Action        Action
	Delay         time.Duration // Retry: the shortest time until the next attempt
	Reason        Reason        // DeadLetter: why
	Err           error         // Retry, DeadLetter, Requeue: the cause
	FirstFailedAt time.Time     // Retry, DeadLetter
	Attempt       int           // attempts so far that count
	TraceParent   string        // of this attempt, for a link from the next one
	Uncounted     bool          // Retry: this attempt does not count

	// Completed is called, if it is not nil, once a dead letter is stored and before its delivery is acknowledged. A
	// crash in between repeats both.
	Completed func()
}

// Action is the kind of an Outcome.
type Action int

const (
	// Ack acknowledges the delivery: its effects are committed.
	Ack Action = iota
	// Retry delivers the event again after a delay, with Attempt one higher unless the outcome is Uncounted.
	Retry
	// DeadLetter moves the event to the dead letters.
	DeadLetter
	// Requeue returns the delivery to its queue without counting an attempt. It is delivered again after Ready.
	Requeue
)

// Reason classifies dead letters.
type Reason string

const (
	// ReasonFailed means that the retry delays are used up.
	ReasonFailed Reason = "failed"
	// ReasonPermanent means that the handler returned a permanent error.
	ReasonPermanent Reason = "permanent"
	// ReasonUndecodable means that the transport cannot decode the message, that its body is not an envelope, or that the
	// data does not fit the ETO.
	ReasonUndecodable Reason = "undecodable"
	// ReasonIncompatible means that the subscription does not know this type or version.
	ReasonIncompatible Reason = "incompatible"
	// ReasonDeliveryLimit means that the broker gave the message up because its deliveries were never acknowledged: it
	// may crash its consumer.
	ReasonDeliveryLimit Reason = "delivery_limit"
	// ReasonExpired means that the broker gave the message up because its time to live had passed.
	ReasonExpired Reason = "expired"
	// ReasonOverflow means that the broker gave the message up because its queue was full.
	ReasonOverflow Reason = "overflow"
	// ReasonRejected means that the transport could not move the message to the dead letters or to a retry queue, so that
	// the broker did.
	ReasonRejected Reason = "rejected"
)

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{
		ReasonFailed, ReasonPermanent, ReasonUndecodable, ReasonIncompatible,
		ReasonDeliveryLimit, ReasonExpired, ReasonOverflow, ReasonRejected,
	}
}

// Queue holds the events for one handler of one service.
type Queue struct {
	Service     string // inventory
	Handler     string // order-created
	Publisher   string // order
	Type        string // order.created.v1
	RetryDelays []time.Duration
}

// String returns "service.handler".
func (q Queue) String() string { return q.Service + "." + q.Handler }

// EventName returns the event's type without its version. A queue receives every version of its event; the handler is
// called for the exact one.
func (q Queue) EventName() string { return EventName(q.Type) }

// Topology is what one service needs on the broker.
type Topology struct {
	Service string
	Queues  []Queue
}

var typePattern = regexp.MustCompile(`^([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+)\.v([1-9][0-9]*)$`)

// ValidType reports whether an event type has the form aggregate.event.v1.
func ValidType(eventType string) bool { return typePattern.MatchString(eventType) }

// EventName returns an event type without its version, and the type unchanged if it has none.
func EventName(eventType string) string {
	if m := typePattern.FindStringSubmatch(eventType); m != nil {
		return m[1]
	}
	return eventType
}
