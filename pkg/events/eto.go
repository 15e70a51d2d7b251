package events

import (
	"fmt"
	"regexp"
)

// ETO is an event transfer object: a past-tense struct of primitive fields that names itself. The methods use the
// standard library's types only, so that a module of contracts need not import this one. All but Subject must
// work on the zero value.
type ETO interface {
	// EventType is aggregate, fact and version, "order.created.v1". It is the routing key too.
	EventType() string
	// Publisher is the service whose outbox sends it, "order". Only that service may publish it.
	Publisher() string
	// Subject is the id of the aggregate it is about. Events with the same subject leave in the order they were
	// written.
	Subject() string
	// Audience is Required or Open.
	Audience() Audience
}

// Audience says what the outbox does with an event that no queue is bound to.
type Audience = string

const (
	// Required events have readers: an unroutable one waits in the outbox until a queue exists.
	Required Audience = "required"
	// Open events are announcements: they are done once the broker has them, heard or not.
	Open Audience = "open"
)

var (
	typePattern = regexp.MustCompile(`^([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+)\.v([1-9][0-9]*)$`)
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$`)
)

// checkETO reports what is wrong with the fixed part of an ETO.
func checkETO(e ETO) error {
	switch {
	case !typePattern.MatchString(e.EventType()):
		return fmt.Errorf("%T: event type %q is not of the form aggregate.fact.v1", e, e.EventType())
	case !namePattern.MatchString(e.Publisher()):
		return fmt.Errorf("%T: publisher %q is not a lower-case name", e, e.Publisher())
	case e.Audience() != Required && e.Audience() != Open:
		return fmt.Errorf("%T: audience %q is neither %q nor %q", e, e.Audience(), Required, Open)
	}
	return nil
}
