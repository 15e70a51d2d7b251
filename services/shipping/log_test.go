package shipping

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
)

// logged is the log of all tests.
var logged = &logLines{Handler: slog.NewTextHandler(os.Stderr, nil), byOrder: map[string][]string{}}

// logLines writes the log, and keeps what it says about each order.
type logLines struct {
	slog.Handler

	mu      sync.Mutex
	byOrder map[string][]string
}

func (l *logLines) Handle(ctx context.Context, r slog.Record) error {
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

func (l *logLines) about(orderID string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.byOrder[orderID])
}
