package events

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// OpenTelemetry's conventions for messaging are still moving, so every name of theirs is in this file.

const scope = "github.com/quadrille-dev/quadrille/pkg/events"

var w3c propagation.TraceContext

// injectTrace stores the trace context of ctx in an envelope.
func injectTrace(ctx context.Context, m *Metadata) {
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	m.TraceParent, m.TraceState = carrier["traceparent"], carrier["tracestate"]
}

// startProcess opens the span of one attempt of a reaction, as a child of the event's creation.
func startProcess(ctx context.Context, q Queue, m Metadata, attempt int) (context.Context, trace.Span) {
	ctx = w3c.Extract(ctx, propagation.MapCarrier{"traceparent": m.TraceParent, "tracestate": m.TraceState})
	return otel.Tracer(scope).Start(ctx, "process "+q.String(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(
			attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.destination.name", q.String()),
			attribute.String("messaging.message.id", m.ID),
			attribute.String("messaging.message.conversation_id", m.CorrelationID),
			attribute.Int("quadrille.attempt", attempt),
		))
}

func endSpan(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, "reaction failed")
	}
	span.End()
}

// metrics are the library's instruments. The meter provider is the global one.
type metrics struct {
	publishedC, unroutableC, parkedC, retriedC, deadC metric.Int64Counter
	duration                                          metric.Float64Histogram
	gauges                                            metric.Registration
	service                                           attribute.KeyValue
}

func newMetrics(cfg Config, o outbox) (*metrics, error) {
	meter := otel.Meter(scope)
	m := &metrics{service: attribute.String("service", cfg.Service)}
	var errs []error
	counter := func(c *metric.Int64Counter, name, description string) {
		var err error
		*c, err = meter.Int64Counter(name, metric.WithDescription(description))
		errs = append(errs, err)
	}
	counter(&m.publishedC, "events.published", "Events that the broker has confirmed and not returned.")
	counter(&m.unroutableC, "events.unroutable", "Attempts to publish a required event that no queue was bound to.")
	counter(&m.parkedC, "events.parked", "Events that were parked because the broker refuses them.")
	counter(&m.retriedC, "events.retried", "Deliveries that failed and will be tried again.")
	counter(&m.deadC, "events.dead", "Deliveries that went to the dead letters.")
	var err error
	m.duration, err = meter.Float64Histogram("events.handle.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of one attempt of a reaction."))
	errs = append(errs, err)

	oldest, err := meter.Float64ObservableGauge("events.outbox.oldest", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest event that is due and not yet published, whatever it waits for."))
	errs = append(errs, err)
	rows, err := meter.Int64ObservableGauge("events.outbox.rows", metric.WithDescription("Rows in the outbox, by state."))
	errs = append(errs, err)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	m.gauges, err = meter.RegisterCallback(func(ctx context.Context, obs metric.Observer) error {
		s, err := o.stats(ctx, cfg.Now())
		if err != nil {
			return err
		}
		obs.ObserveFloat64(oldest, s.oldest.Seconds(), metric.WithAttributes(m.service))
		for state, n := range map[string]int64{"waiting": s.waiting, "held": s.held, "parked": s.parked} {
			obs.ObserveInt64(rows, n, metric.WithAttributes(m.service, attribute.String("state", state)))
		}
		return nil
	}, oldest, rows)
	return m, err
}

func (m *metrics) close() { _ = m.gauges.Unregister() }

func (m *metrics) published(ctx context.Context, n int) {
	m.publishedC.Add(ctx, int64(n), metric.WithAttributes(m.service))
}

func (m *metrics) unroutable(ctx context.Context) {
	m.unroutableC.Add(ctx, 1, metric.WithAttributes(m.service))
}

func (m *metrics) parked(ctx context.Context) {
	m.parkedC.Add(ctx, 1, metric.WithAttributes(m.service))
}

func (m *metrics) retried(ctx context.Context, reaction string) {
	m.retriedC.Add(ctx, 1, metric.WithAttributes(m.service, attribute.String("reaction", reaction)))
}

func (m *metrics) dead(ctx context.Context, reaction string, reason DeadReason) {
	m.deadC.Add(ctx, 1, metric.WithAttributes(m.service,
		attribute.String("reaction", reaction), attribute.String("reason", string(reason))))
}

func (m *metrics) handled(ctx context.Context, reaction string, d time.Duration, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	m.duration.Record(ctx, d.Seconds(), metric.WithAttributes(m.service,
		attribute.String("reaction", reaction), attribute.String("outcome", outcome)))
}
