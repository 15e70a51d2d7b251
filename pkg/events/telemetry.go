package events

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// OpenTelemetry's conventions for messaging are still in development. Every name that we take from them is in this
// file and no other, in the version imported above.

const scope = "github.com/quadrille-dev/quadrille/pkg/events"

// Instruments that the conventions name, and attributes of ours.
const (
	sentMessages     = "messaging.client.sent.messages"
	consumedMessages = "messaging.client.consumed.messages"
	processDuration  = "messaging.process.duration"

	attemptKey    = attribute.Key("events.attempt")     // 1 for the first
	linkReasonKey = attribute.Key("events.link.reason") // one of the following
)

// Why a span is linked to what came before it, beside being its child.
const (
	linkRetry     = "retry"     // to the attempt that failed
	linkReplay    = "replay"    // to the attempt that sent it to the dead letters
	linkScheduled = "scheduled" // to the creation, long ago
)

// Values of error.type.
const (
	errorUnroutable  = "unroutable"  // no queue wants it
	errorRejected    = "refused"     // by the broker
	errorUnconfirmed = "unconfirmed" // no answer
	errorPermanent   = "permanent"   // the reaction said so
	errorUndecodable = "undecodable" // not this ETO
	errorUnavailable = "unavailable" // the database or an outside party is away
	errorTimeout     = "timeout"     // the reaction's
	errorOther       = "_OTHER"      // as the conventions call it
)

const errorKey = semconv.ErrorTypeKey

var w3c propagation.TraceContext

// traceParentOf is the trace context of ctx on one line, "" if there is none.
func traceParentFrom(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// withTraceParent returns ctx in the trace of a stored context; ctx as it is if that is not one.
func withTraceParent(ctx context.Context, parent, state string) context.Context {
	return w3c.Extract(ctx, propagation.MapCarrier{"traceparent": parent, "tracestate": state})
}

// tracing makes the spans of an event's way: create when it is published in a transaction, publish when the relay sends
// it, process for each attempt of a reaction. The context of create travels with the event, and the other two are its
// children, so that what an event leads to is one trace with it. Those that come late are linked as well.
// docs/adr/0001-parents-and-links.md has the reasons.
type tracing struct {
	tracer  trace.Tracer
	names   transport.Names
	service string
}

func newTracing(cfg Config, names transport.Names) tracing {
	return tracing{tracer: cfg.TracerProvider.Tracer(scope), names: names, service: cfg.Service}
}

func (t tracing) start(ctx context.Context, operation string, kind trace.SpanKind, opType attribute.KeyValue, destination string,
	m Metadata, more ...trace.SpanStartOption,
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

// messaging are the attributes that spans and metrics share.
func messaging(names transport.Names, operation, destination string) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingSystemKey.String(names.System()), semconv.MessagingOperationName(operation),
		semconv.MessagingDestinationName(destination),
	}
}

// create opens the span of an event's creation and stores its context in the envelope.
func (t tracing) create(ctx context.Context, m *Metadata) (context.Context, trace.Span) {
	ctx, span := t.start(ctx, "create", trace.SpanKindProducer, semconv.MessagingOperationTypeCreate,
		t.names.Destination(t.service, m.Type), *m)
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	m.TraceParent, m.TraceState = carrier["traceparent"], carrier["tracestate"]
	return ctx, span
}

// publish opens the span of one sending.
func (t tracing) publish(ctx context.Context, m Metadata, scheduled bool) trace.Span {
	ctx = withTraceParent(ctx, m.TraceParent, m.TraceState)
	var late []trace.SpanStartOption
	if scheduled {
		late = linked(trace.SpanContextFromContext(ctx), linkScheduled)
	}
	_, span := t.start(ctx, "publish", trace.SpanKindClient, semconv.MessagingOperationTypeSend,
		t.names.Destination(t.service, m.Type), m, late...)
	return span
}

// process opens the span of one attempt of a reaction. ctx is in the event's trace.
func (t tracing) process(ctx context.Context, q transport.Queue, m Metadata, d transport.Delivery) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{trace.WithAttributes(
		semconv.MessagingConsumerGroupName(q.String()),
		attemptKey.Int(d.Attempt),
	)}
	if d.TraceParent != "" {
		reason := linkRetry
		if d.DeadLetterReason != "" {
			reason = linkReplay
		}
		before := trace.SpanContextFromContext(withTraceParent(context.Background(), d.TraceParent, ""))
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

// endSpan ends the span of something that failed if kind is not empty, which is its error.type.
func endSpan(span trace.Span, kind string, err error) {
	if kind != "" {
		span.SetAttributes(errorKey.String(kind))
		span.RecordError(err)
		span.SetStatus(codes.Error, kind)
	}
	span.End()
}

// sendError is the error.type of an outcome of Transport.Publish.
func sendError(outcome error) string {
	switch {
	case outcome == nil:
		return ""
	case errors.Is(outcome, transport.ErrUnroutable):
		return errorUnroutable
	case errors.Is(outcome, transport.ErrRejected):
		return errorRejected
	default:
		return errorUnconfirmed
	}
}

// errorType is the error.type of a reaction's failure. There are few, whatever goes wrong.
func errorType(err error) string {
	var (
		permanent   *permanentError
		undecodable *undecodableError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &permanent):
		return errorPermanent
	case errors.As(err, &undecodable):
		return errorUndecodable
	case isUnavailable(err):
		return errorUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		return errorTimeout
	default:
		return errorOther
	}
}

// isScheduled says that a row became due later than it was written. Databases keep microseconds, or milliseconds.
func isScheduled(dueSince, written time.Time) bool { return dueSince.Sub(written) > time.Millisecond }
