package servicetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Race calls all functions at the same moment, and blocks until the last has returned.
func Race(all ...func()) {
	RaceN(len(all), func(i int) { all[i]() })
}

// RaceN calls f(0) to f(n-1) at the same moment, and blocks until the last has returned.
func RaceN(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	barrier := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-barrier
			f(i)
		})
	}
	ready.Wait()
	close(barrier)
	done.Wait()
}

// OrderIDs returns the ids of the twenty orders of a race. They contain the name of the test, because [LoggedAbout] knows
// the lines of all tests.
func OrderIDs(t *testing.T) []string {
	ids := make([]string, 20)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%02d", t.Name(), i)
	}
	return ids
}

// Delivery returns a function that delivers the event as [Harness.DeliverWith] does.
func (h *Harness) Delivery(t *testing.T, eto events.ETO, opts ...eventstest.DeliverOption) func() {
	return func() { h.DeliverWith(t, eto, opts...) }
}

// DeliverRequests delivers the events of these types that the service has published, which are its requests to itself:
// each event twice, and all events of a round at the same moment. It ends after a round without such an event. The
// functions in rounds[n] are called together with the deliveries of round n.
func (h *Harness) DeliverRequests(t *testing.T, types []events.ETO, rounds ...[]func()) {
	t.Helper()
	for delivered := 0; ; {
		published := h.AwaitPublished(t)
		var next []func()
		for _, e := range published[delivered:] {
			if slices.ContainsFunc(types, func(eto events.ETO) bool { return eto.EventType() == e.Type }) {
				next = append(next, slices.Repeat([]func(){h.Delivery(t, enveloped{e}, eventstest.WithID(e.ID))}, 2)...)
			}
		}
		delivered = len(published)
		if len(rounds) > 0 {
			next, rounds = append(next, rounds[0]...), rounds[1:]
		} else if len(next) == 0 {
			return
		}
		Race(next...)
	}
}

// enveloped is the ETO in an envelope, as it was encoded.
type enveloped struct{ envelope transport.Envelope }

func (e enveloped) EventType() string { return e.envelope.Type }

func (e enveloped) Subject() string { return e.envelope.Subject }

func (e enveloped) MarshalJSON() ([]byte, error) { return e.envelope.Data, nil }
