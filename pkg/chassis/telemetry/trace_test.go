package telemetry

import (
	"testing"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func TestContinueTrace(t *testing.T) {
	provider := sdktrace.NewTracerProvider()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	tracer := provider.Tracer("test")

	order, placed := tracer.Start(t.Context(), "order placed")
	webhook, request := tracer.Start(t.Context(), "webhook")
	stored := TraceParent(order)

	_, span := ContinueTrace(webhook, stored, "parcel delivered")
	got := span.(sdktrace.ReadOnlySpan)
	if got.Parent().SpanID() != placed.SpanContext().SpanID() || got.SpanContext().TraceID() != placed.SpanContext().TraceID() {
		t.Errorf("it is a child of %v, not of the order's span", got.Parent())
	}
	if links := got.Links(); len(links) != 1 || !links[0].SpanContext.Equal(request.SpanContext()) {
		t.Errorf("linked to %v, not to the request", links)
	}

	for _, none := range []string{"", "no trace context"} {
		_, span = ContinueTrace(webhook, none, "parcel delivered")
		got = span.(sdktrace.ReadOnlySpan)
		if got.Parent().SpanID() != request.SpanContext().SpanID() || len(got.Links()) != 0 {
			t.Errorf("with %q: a child of %v, linked to %v", none, got.Parent(), got.Links())
		}
	}
	if trace.SpanContextFromContext(t.Context()).IsValid() || TraceParent(t.Context()) != "" {
		t.Error("there is a trace without a span")
	}
}
