package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

var noops, _ = otel.Meter("github.com/quadrille-dev/quadrille/pkg/chassis/telemetry").Int64Counter("events.noop",
	metric.WithDescription("Facts that changed nothing: doubled, late, or not the service's business."))

// Ignored notes that a service was told something about an aggregate that changed nothing: a debug line, and the
// counter events.noop by the service and the state that the aggregate was in. That is normal where events come in
// any order and more than once; a rate that jumps is worth a look.
func RecordNoop(ctx context.Context, service, id, state string) {
	noops.Add(ctx, 1, metric.WithAttributes(attribute.String("service", service), attribute.String("state", state)))
	slog.DebugContext(ctx, "nothing to do", "order_id", id, "state", state)
}
