package eventstest

import (
	"context"
	"sync"
	"testing"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Start runs bus in the background until the test ends or stop is called. Both block until the bus has shut down, and fail
// the test if Run returns an error. Open the database handle before Start, so that it is closed after the bus has stopped.
func Start(t testing.TB, bus *events.Bus) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- bus.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-result; err != nil {
			t.Errorf("bus: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}
