package telemetry_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

func TestNewLogger_AddsIDsFromContext(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	logger := telemetry.NewLogger(&out, slog.LevelInfo, "json").With("service", "sample")
	ctx := events.WithCorrelationID(t.Context(), "flow")
	ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	logger.DebugContext(ctx, "not shown")
	logger.InfoContext(ctx, "shown", "span_id", "its own")
	var line map[string]string
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "span_id"); n != 1 {
		t.Errorf("span_id is there %d times", n)
	}
	for key, want := range map[string]string{
		"msg": "shown", "service": "sample", "correlation_id": "flow",
		"trace_id": "01000000000000000000000000000000", "span_id": "its own",
	} {
		if line[key] != want {
			t.Errorf("%s is %q, want %q", key, line[key], want)
		}
	}
}
