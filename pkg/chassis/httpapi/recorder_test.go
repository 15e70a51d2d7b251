package httpapi_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
)

// recorder is a slog handler that keeps all lines, for tests that inspect them.
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
