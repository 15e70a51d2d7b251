package telemetry

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

var w3c propagation.TraceContext

// TraceParent returns the trace context of ctx in the form of the header traceparent, or "" if there is none. It is stored
// in the row of whatever outlives the request, and passed to [ContinueTrace] later.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// ContinueTrace opens a span in the trace of traceParent, and links it to the span of ctx. A webhook, a
// customer's second request or a timer thus becomes part of the order's trace, with a link to its own. Without a
// traceParent the span is a child of the span of ctx. The caller ends it.
func ContinueTrace(ctx context.Context, traceParent, name string) (context.Context, trace.Span) {
	var links []trace.Link
	here := trace.SpanContextFromContext(ctx)
	ctx = w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceParent})
	if here.IsValid() && !trace.SpanContextFromContext(ctx).Equal(here) {
		links = append(links, trace.Link{SpanContext: here, Attributes: []attribute.KeyValue{
			attribute.String("events.link.reason", "request"),
		}})
	}
	return otel.Tracer("github.com/quadrille-dev/quadrille/pkg/chassis/telemetry").Start(ctx, name, trace.WithLinks(links...))
}
