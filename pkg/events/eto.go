package events

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// ETO is an event transfer object: a struct of primitive fields, named in the past tense, that knows its type and its
// subject. It is an alias of an interface literal, so that a package of event contracts can declare the same interface
// without importing this one.
//
// EventType returns aggregate, event and version, such as "order.created.v1". It is also the routing key, and must work
// on the zero value. Subject returns the id of the aggregate that the event is about. Events with the same subject reach
// the broker in the order in which they were written.
type ETO = interface {
	EventType() string
	Subject() string
}

// Declaration states once, for all services, which service publishes an event and whether it is mandatory. Config.Events lists
// the declarations of every event that a service publishes or handles.
type Declaration struct {
	// ETO is a value of the event's struct; the zero value will do.
	ETO ETO
	// Publisher is the service whose outbox sends the event, such as "order". No other service may publish it.
	Publisher string
	// Mandatory means that the event must reach a queue: while none is bound to it, it waits in the outbox. An event that
	// is not mandatory is published once the broker has confirmed it, whether a queue is bound or not.
	Mandatory bool
}

// Declarations converts a list of declarations that was written without importing this package: E is a struct with the
// fields of [Declaration].
func Declarations[E ~struct {
	ETO       ETO
	Publisher string
	Mandatory bool
}](list []E) []Declaration {
	declarations := make([]Declaration, len(list))
	for i, e := range list {
		declarations[i] = Declaration(e)
	}
	return declarations
}

// Metadata are the attributes of an event's envelope.
type Metadata = transport.Metadata

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$`)

// registry finds the declaration of an event by its type.
type registry map[string]Declaration

func newRegistry(declarations []Declaration) (registry, error) {
	r := registry{}
	var errs []error
	for i, d := range declarations {
		if d.ETO == nil {
			errs = append(errs, fmt.Errorf("declaration %d of Events has no ETO", i))
			continue
		}
		t := d.ETO.EventType()
		if !transport.ValidType(t) {
			errs = append(errs, fmt.Errorf("%T: event type %q is not of the form aggregate.event.v1", d.ETO, t))
		}
		if !namePattern.MatchString(d.Publisher) {
			errs = append(errs, fmt.Errorf("%T: publisher %q is not a lower-case name", d.ETO, d.Publisher))
		}
		if _, twice := r[t]; twice {
			errs = append(errs, fmt.Errorf("%T: event type %q is declared twice", d.ETO, t))
		}
		r[t] = d
	}
	return r, errors.Join(errs...)
}

// find returns the declaration of an event type. The error says how to declare one.
func (r registry) find(eventType string) (Declaration, error) {
	d, ok := r[eventType]
	if !ok {
		return d, fmt.Errorf("event %q is not declared: add an events.Declaration of it to Config.Events", eventType)
	}
	return d, nil
}
