package eventstest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// DeliverOption changes one delivery.
type DeliverOption func(*delivery)

type delivery struct {
	env     transport.Envelope
	handler string
	attempt int
	before  transport.Outcome
}

// WithID gives the event an id, so that it can be delivered more than once. Default: a new one.
func WithID(id string) DeliverOption { return func(d *delivery) { d.env.ID = id } }

// WithTime sets when the event happened. Default: now.
func WithTime(at time.Time) DeliverOption { return func(d *delivery) { d.env.Time = at } }

// WithTenant sets the tenant of the event. Default: none.
func WithTenant(id string) DeliverOption { return func(d *delivery) { d.env.TenantID = id } }

// WithCorrelation sets the correlation id of the event. Default: none.
func WithCorrelation(id string) DeliverOption { return func(d *delivery) { d.env.CorrelationID = id } }

// Enveloped sets all metadata of the event to that of an envelope.
func Enveloped(e transport.Envelope) DeliverOption {
	return func(d *delivery) { d.env.Metadata = e.Metadata }
}

// OnAttempt sets the number of the attempt. Default: 1.
func OnAttempt(n int) DeliverOption { return func(d *delivery) { d.attempt = n } }

// Following makes the delivery the one after this outcome: the next attempt, or a replay from the dead letters.
func Following(v transport.Outcome) DeliverOption {
	return func(d *delivery) { d.attempt, d.before = v.Attempt+1, v }
}

// To selects the handler if the service has several for this type of event.
func To(handler string) DeliverOption { return func(d *delivery) { d.handler = handler } }

// Deliver passes eto to the handler for its type and blocks until the outcome is known. Before that, it waits until the
// bus consumes. If there is no such handler or more than one, the test fails and the outcome is DeadLetter. Deliver may be
// called from any goroutine.
func (tr *Transport) Deliver(t testing.TB, eto events.ETO, opts ...DeliverOption) transport.Outcome {
	t.Helper()
	v, err := tr.deliver(eto, opts)
	if err != nil {
		t.Errorf("deliver %s: %v", eto.EventType(), err)
		return transport.Outcome{Action: transport.DeadLetter, Err: err}
	}
	return v
}

func (tr *Transport) deliver(eto events.ETO, opts []DeliverOption) (transport.Outcome, error) {
	data, err := json.Marshal(eto)
	if err != nil {
		return transport.Outcome{}, err
	}
	d := delivery{attempt: 1, env: transport.Envelope{Data: data, Metadata: events.Metadata{
		ID: uuid.Must(uuid.NewV7()).String(), Type: eto.EventType(), Subject: eto.Subject(), Time: time.Now().UTC(),
	}}}
	for _, o := range opts {
		o(&d)
	}
	a, err := tr.attachedTo(d.env.Type, d.handler)
	if err != nil {
		return transport.Outcome{}, err
	}
	defer a.running.Done()
	if d.env.Source == "" {
		d.env.Source = "/" + a.Publisher
	}
	body, err := json.Marshal(d.env)
	if err != nil {
		return transport.Outcome{}, err
	}
	outcome := a.Handle(transport.Delivery{
		Body: body, Attempt: d.attempt,
		FirstFailedAt: d.before.FirstFailedAt, TraceParent: d.before.TraceParent, DeadLetterReason: d.before.Reason,
	})
	if outcome.Completed != nil {
		outcome.Completed()
	}
	return outcome, nil
}

// attachedTo waits for the one consumer of a type. Consume does not return until the caller calls running.Done.
func (tr *Transport) attachedTo(eventType, handler string) (*attached, error) {
	var found []*attached
	tr.await(func() bool {
		found = nil
		for _, a := range tr.consumers {
			if a.Type == eventType && (handler == "" || a.Handler == handler) {
				found = append(found, a)
			}
		}
		if len(found) == 1 {
			found[0].running.Add(1)
		}
		return len(found) > 0
	})
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no running bus has this handler; the handlers are: %v", tr.attachedNames())
	case 1:
		return found[0], nil
	}
	var names []string
	for _, a := range found {
		names = append(names, a.Handler)
	}
	return nil, fmt.Errorf("several handlers, choose one with To: %v", names)
}

func (tr *Transport) attachedNames() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var names []string
	for _, a := range tr.consumers {
		names = append(names, a.String()+" ("+a.Type+")")
	}
	slices.Sort(names)
	return names
}

// Decode returns the event in an envelope. It calls t.Fatal if the envelope is of another type, so call it from the
// goroutine of the test.
func Decode[T events.ETO](t testing.TB, env transport.Envelope) T {
	t.Helper()
	var eto T
	if env.Type != eto.EventType() {
		t.Fatalf("the event is %s, not %s", env.Type, eto.EventType())
	}
	if err := json.Unmarshal(env.Data, &eto); err != nil {
		t.Fatalf("decode %s: %v", env.Type, err)
	}
	return eto
}
