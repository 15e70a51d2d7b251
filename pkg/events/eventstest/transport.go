package eventstest

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// timeout bounds each wait of Transport.
const timeout = 30 * time.Second

// Transport is a broker in memory for the tests of one service. It confirms and records what the bus publishes. Deliver
// delivers an event and returns the outcome; the transport retries nothing. Its methods are safe for concurrent use.
type Transport struct {
	mu        sync.Mutex
	changed   chan struct{} // closed and replaced whenever something below changes
	published []transport.Envelope
	failures  []error
	outcome   func(transport.Message) error
	consumers []*attached
}

// attached is a consumer whose bus runs.
type attached struct {
	transport.Consumer
	running sync.WaitGroup
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Declarer  = (*Transport)(nil)
)

// NewTransport returns a transport that confirms everything.
func NewTransport() *Transport { return &Transport{changed: make(chan struct{})} }

// Publish records each message, unless FailNext or Outcome decide otherwise.
func (tr *Transport) Publish(_ context.Context, msgs []transport.Message) []error {
	outcomes := make([]error, len(msgs))
	for i, m := range msgs {
		outcomes[i] = tr.publish(m)
	}
	return outcomes
}

func (tr *Transport) publish(m transport.Message) error {
	var env transport.Envelope
	if err := json.Unmarshal(m.Body, &env); err != nil {
		return err
	}
	if err := tr.decide(m); err != nil {
		return err
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.published = append(tr.published, env)
	tr.notify()
	return nil
}

func (tr *Transport) decide(m transport.Message) error {
	tr.mu.Lock()
	outcome := tr.outcome
	if len(tr.failures) > 0 {
		err := tr.failures[0]
		tr.failures = tr.failures[1:]
		tr.mu.Unlock()
		return err
	}
	tr.mu.Unlock()
	if outcome == nil {
		return nil
	}
	return outcome(m)
}

// FailNext sets the outcomes of the next messages, one each. A message is recorded only if its outcome is nil.
func (tr *Transport) FailNext(outcomes ...error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.failures = append(tr.failures, outcomes...)
}

// Outcome sets a function that returns the outcome of each message. A message is recorded if that is nil. The function may
// block. Nil restores the default.
func (tr *Transport) Outcome(decide func(m transport.Message) error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.outcome = decide
}

// Published returns the events that were confirmed so far, in that order.
func (tr *Transport) Published() []transport.Envelope {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.published)
}

// WaitFor blocks until an event of this type with this subject was published, and returns the first one. It calls t.Fatal
// after half a minute, so call it from the goroutine of the test.
func (tr *Transport) WaitFor(t testing.TB, eventType, subject string) transport.Envelope {
	t.Helper()
	var found transport.Envelope
	ok := tr.await(func() bool {
		i := slices.IndexFunc(tr.published, func(e transport.Envelope) bool {
			return e.Type == eventType && e.Subject == subject
		})
		if i >= 0 {
			found = tr.published[i]
		}
		return i >= 0
	})
	if !ok {
		t.Fatalf("%s with subject %q was not published; these were: %v", eventType, subject, tr.summary())
	}
	return found
}

func (tr *Transport) summary() []string {
	var list []string
	for _, e := range tr.Published() {
		list = append(list, e.Type+" "+e.Subject)
	}
	return list
}

// Consume attaches the consumers and blocks until ctx ends and no Deliver is in progress.
func (tr *Transport) Consume(ctx context.Context, consumers []transport.Consumer) error {
	var mine []*attached
	for _, c := range consumers {
		if err := c.Ready(ctx); err != nil {
			return err
		}
		mine = append(mine, &attached{Consumer: c})
	}
	tr.mu.Lock()
	tr.consumers = append(tr.consumers, mine...)
	tr.notify()
	tr.mu.Unlock()

	<-ctx.Done()

	tr.mu.Lock()
	tr.consumers = slices.DeleteFunc(tr.consumers, func(a *attached) bool { return slices.Contains(mine, a) })
	tr.notify()
	tr.mu.Unlock()
	for _, a := range mine {
		a.running.Wait()
	}
	return nil
}

// Declare declares nothing and returns nil.
func (tr *Transport) Declare(context.Context, ...transport.Topology) error { return nil }

// Check returns nil.
func (tr *Transport) Check(context.Context, transport.Topology) error { return nil }

// Close does nothing.
func (tr *Transport) Close() error { return nil }

// System implements transport.Names.
func (tr *Transport) System() string { return "eventstest" }

// Destination implements transport.Names: publisher and event type.
func (tr *Transport) Destination(publisher, eventType string) string {
	return publisher + ":" + eventType
}

// Source implements transport.Names: publisher, event type and handler.
func (tr *Transport) Source(q transport.Queue) string {
	return tr.Destination(q.Publisher, q.Type) + ":" + q.String()
}

// notify wakes await. The caller holds the lock.
func (tr *Transport) notify() {
	close(tr.changed)
	tr.changed = make(chan struct{})
}

// await blocks until done reports true or timeout has passed, and reports which. It calls done with the lock held.
func (tr *Transport) await(done func() bool) bool {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for {
		tr.mu.Lock()
		ok, changed := done(), tr.changed
		tr.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-deadline.C:
			return false
		}
	}
}
