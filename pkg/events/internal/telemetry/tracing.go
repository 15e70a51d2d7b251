package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

var w3c propagation.TraceContext

// TraceParent returns the trace context of ctx as a traceparent, "" if there is none.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// WithTraceParent returns ctx in the trace of a stored context, and ctx itself if that is not valid.
func WithTraceParent(ctx context.Context, parent, state string) context.Context {
	return w3c.Extract(ctx, propagation.MapCarrier{"traceparent": parent, "tracestate": state})
}

// Tracing makes the spans of an event: create when it is published in a transaction, publish when the relay sends it,
// process for each attempt of a handler. The context of create is stored in the envelope and the other two are its
// children, so that everything an event leads to is in its trace. Spans that come much later have a link as well.
// docs/adr/0001-parents-and-links.md has the reasons.
type Tracing struct {
	tracer  trace.Tracer
	names   transport.Names
	service string
}

// NewTracing makes the tracing of one service.
func NewTracing(provider trace.TracerProvider, service string, names transport.Names) Tracing {
	return Tracing{tracer: provider.Tracer(scope), names: names, service: service}
}

func (t Tracing) start(ctx context.Context, operation string, kind trace.SpanKind, opType attribute.KeyValue, destination string,
	m transport.Metadata, more ...trace.SpanStartOption,
) (context.Context, trace.Span) {
	more = append(more, trace.WithSpanKind(kind), trace.WithAttributes(messaging(t.names, operation, destination)...), trace.WithAttributes(
		opType,
		semconv.MessagingMessageID(m.ID),
		semconv.MessagingMessageConversationID(m.CorrelationID),
		semconv.CloudEventsEventID(m.ID),
		semconv.CloudEventsEventSource(m.Source),
		semconv.CloudEventsEventType(m.Type),
		semconv.CloudEventsEventSubject(m.Subject),
	))
	return t.tracer.Start(ctx, operation+" "+destination, more...)
}

// Create starts the span of an event's creation and stores its context in the envelope.
func (t Tracing) Create(ctx context.Context, m *transport.Metadata) (context.Context, trace.Span) {
	ctx, span := t.start(ctx, "create", trace.SpanKindProducer, semconv.MessagingOperationTypeCreate,
		t.names.Destination(t.service, m.Type), *m)
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	m.TraceParent, m.TraceState = carrier["traceparent"], carrier["tracestate"]
	return ctx, span
}

// Publish starts the span of sending an event that is due since dueSince.
func (t Tracing) Publish(ctx context.Context, m transport.Metadata, dueSince time.Time) trace.Span {
	ctx = WithTraceParent(ctx, m.TraceParent, m.TraceState)
	var links []trace.SpanStartOption
	// Databases keep microseconds or milliseconds: a smaller difference does not mean that the event was scheduled.
	if dueSince.Sub(m.Time) > time.Millisecond {
		links = linked(trace.SpanContextFromContext(ctx), linkScheduled)
	}
	_, span := t.start(ctx, "publish", trace.SpanKindClient, semconv.MessagingOperationTypeSend,
		t.names.Destination(t.service, m.Type), m, links...)
	return span
}

// Process starts the span of one attempt of a handler. ctx is in the event's trace.
func (t Tracing) Process(ctx context.Context, q transport.Queue, m transport.Metadata, d transport.Delivery) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{trace.WithAttributes(
		semconv.MessagingConsumerGroupName(q.String()),
		attemptKey.Int(d.Attempt),
	)}
	if d.TraceParent != "" {
		reason := linkRetry
		if d.DeadLetterReason != "" {
			reason = linkReplay
		}
		before := trace.SpanContextFromContext(WithTraceParent(context.Background(), d.TraceParent, ""))
		options = append(options, linked(before, reason)...)
	}
	return t.start(ctx, "process", trace.SpanKindConsumer, semconv.MessagingOperationTypeProcess, t.names.Source(q), m, options...)
}

func linked(to trace.SpanContext, reason string) []trace.SpanStartOption {
	if !to.IsValid() {
		return nil
	}
	return []trace.SpanStartOption{trace.WithLinks(trace.Link{
		SpanContext: to, Attributes: []attribute.KeyValue{linkReasonKey.String(reason)},
	})}
}

// EndSpan ends a span. If errorType is not empty, the span has failed with err.
func EndSpan(span trace.Span, errorType string, err error) {
	if errorType != "" {
		span.SetAttributes(errorKey.String(errorType))
		span.RecordError(err)
		span.SetStatus(codes.Error, errorType)
	}
	span.End()
}
