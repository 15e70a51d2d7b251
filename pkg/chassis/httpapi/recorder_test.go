package httpapi_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a slog handler that keeps all lines, for tests that wait for a line or inspect it.
type recorder struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }

func (r *recorder) Handle(ctx context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	opts := &slog.HandlerOptions{Level: slog.LevelDebug}
	return slog.NewJSONHandler(&r.lines, opts).Handle(ctx, record)
}

func (r *recorder) WithAttrs([]slog.Attr) slog.Handler { return r }

func (r *recorder) WithGroup(string) slog.Handler { return r }

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines.String()
}

func (r *recorder) waitFor(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(r.String(), text) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%q was not logged, but %s", text, r)
		}
	}
}
