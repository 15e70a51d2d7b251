package servicetest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// Main runs the tests of a package, deletes what they left on the servers, and fails if goroutines are left. It records
// the log of all tests for [LoggedAbout].
func Main(m *testing.M) {
	slog.SetDefault(slog.New(logged))
	testservers.Main(m)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// LoggedAbout returns the messages that were logged so far with this order_id.
func LoggedAbout(orderID string) []string {
	logged.mu.Lock()
	defer logged.mu.Unlock()
	return slices.Clone(logged.byOrder[orderID])
}

var logged = &logRecorder{Handler: slog.NewTextHandler(os.Stderr, nil), byOrder: map[string][]string{}}

// logRecorder writes the log and keeps the messages about each order.
type logRecorder struct {
	slog.Handler

	mu      sync.Mutex
	byOrder map[string][]string
}

// Handle implements slog.Handler.
func (l *logRecorder) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "order_id" {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.byOrder[a.Value.String()] = append(l.byOrder[a.Value.String()], r.Message)
		}
		return true
	})
	return l.Handler.Handle(ctx, r)
}
