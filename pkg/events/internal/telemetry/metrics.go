package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/outbox"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Metrics are the library's instruments. docs/observability.md describes them.
type Metrics struct {
	sent, consumed, retried, deadLettered, parked   metric.Int64Counter
	processDuration, publishLatency, consumeLatency metric.Float64Histogram
	gauges                                          metric.Registration

	names   transport.Names
	service string
}

var (
	// shortBuckets are the boundaries that OpenTelemetry's messaging conventions recommend for durations.
	shortBuckets = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	// longBuckets cover latencies that include outages and retry delays.
	longBuckets = append(append([]float64{.001, .0025}, shortBuckets...), 30, 60, 300, 900, 3600)
)

// NewMetrics creates the instruments of one service and registers the gauges. stats reads the outbox for them.
func NewMetrics(provider metric.MeterProvider, service string, names transport.Names, stats func() (outbox.Stats, error)) (*Metrics, error) {
	meter := provider.Meter(scope)
	m := &Metrics{names: names, service: service}
	var errs []error
	counter := func(c *metric.Int64Counter, name, unit, description string) {
		var err error
		*c, err = meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
	}
	histogram := func(h *metric.Float64Histogram, name string, boundaries []float64, description string) {
		var err error
		*h, err = meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(boundaries...))
		errs = append(errs, err)
	}
	counter(&m.sent, nameSentMessages, "{message}", "Events sent to the broker. Without error_type the broker has confirmed and not returned them.")
	counter(&m.consumed, nameConsumedMessages, "{message}", "Deliveries received from a queue, redeliveries included.")
	counter(&m.retried, "events.retried", "", "Deliveries that failed and will be retried.")
	counter(&m.deadLettered, "events.dead_lettered", "", "Events that became dead letters, counted when they are stored there.")
	counter(&m.parked, "events.parked", "", "Events that were parked because the broker rejects them.")
	histogram(&m.processDuration, nameProcessDuration, shortBuckets, "Duration of one attempt of a handler.")
	histogram(&m.publishLatency, "events.publish.latency", longBuckets,
		"From an event's creation, or the time it was scheduled for, until the broker has confirmed it.")
	histogram(&m.consumeLatency, "events.consume.latency", longBuckets,
		"From an event's creation until its handler has committed: schedule, queueing and retries included.")

	oldest, err := meter.Float64ObservableGauge("events.outbox.oldest_age", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest event that is due and not yet published, whatever its state."))
	errs = append(errs, err)
	rows, err := meter.Int64ObservableGauge("events.outbox.size", metric.WithDescription("Rows in the outbox, by state, each up to 10,000."))
	errs = append(errs, err)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	attributes := m.attributes()
	m.gauges, err = meter.RegisterCallback(func(_ context.Context, obs metric.Observer) error {
		s, err := stats()
		if err != nil {
			return err
		}
		obs.ObserveFloat64(oldest, s.Oldest.Seconds(), attributes)
		for state, n := range map[string]int64{"waiting": s.Waiting, "blocked": s.Blocked, "parked": s.Parked} {
			obs.ObserveInt64(rows, n, m.attributes(attribute.String("state", state)))
		}
		return nil
	}, oldest, rows)
	return m, err
}

// Start sets the counters of rare events to zero. A counter that first appears with its first event does not look like
// an increase to a monitoring system.
func (m *Metrics) Start(ctx context.Context, queues []transport.Queue) {
	m.parked.Add(ctx, 0, m.attributes())
	for _, q := range queues {
		m.retried.Add(ctx, 0, m.attributes(handlerAttribute(q)))
		for _, reason := range transport.Reasons() {
			m.deadLettered.Add(ctx, 0, m.attributes(handlerAttribute(q), attribute.String("reason", string(reason))))
		}
	}
}

// Close unregisters the gauges.
func (m *Metrics) Close() { _ = m.gauges.Unregister() }

// attributes returns the given attributes and the service's name, since several services may share one meter provider.
func (m *Metrics) attributes(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, attribute.String("service", m.service))...))
}

// Published counts an event that was sent, and measures its latency if the broker has confirmed it.
func (m *Metrics) Published(ctx context.Context, eventType string, outcome error, latency time.Duration) {
	attrs := messaging(m.names, "publish", m.names.Destination(m.service, eventType))
	if outcome == nil {
		m.publishLatency.Record(ctx, max(0, latency).Seconds(), m.attributes())
	} else {
		attrs = append(attrs, errorKey.String(PublishErrorType(outcome)))
	}
	m.sent.Add(ctx, 1, m.attributes(attrs...))
}

// Parked counts an event that was parked.
func (m *Metrics) Parked(ctx context.Context) { m.parked.Add(ctx, 1, m.attributes()) }

// Received counts a delivery.
func (m *Metrics) Received(ctx context.Context, q transport.Queue) {
	m.consumed.Add(ctx, 1, m.attributes(m.processing(q)...))
}

// Attempted measures one attempt of a handler. errorType is empty if it succeeded.
func (m *Metrics) Attempted(ctx context.Context, q transport.Queue, took time.Duration, errorType string) {
	attrs := m.processing(q)
	if errorType != "" {
		attrs = append(attrs, errorKey.String(errorType))
	}
	m.processDuration.Record(ctx, took.Seconds(), m.attributes(attrs...))
}

func (m *Metrics) processing(q transport.Queue) []attribute.KeyValue {
	return append(messaging(m.names, "process", m.names.Source(q)), handlerAttribute(q))
}

// Consumed measures the time from an event's creation to the commit of its handler.
func (m *Metrics) Consumed(ctx context.Context, q transport.Queue, latency time.Duration) {
	m.consumeLatency.Record(ctx, max(0, latency).Seconds(), m.attributes(handlerAttribute(q)))
}

// Retried counts a delivery that will be retried.
func (m *Metrics) Retried(ctx context.Context, q transport.Queue) {
	m.retried.Add(ctx, 1, m.attributes(handlerAttribute(q)))
}

// DeadLettered counts a dead letter.
func (m *Metrics) DeadLettered(ctx context.Context, q transport.Queue, reason transport.Reason) {
	m.deadLettered.Add(ctx, 1, m.attributes(handlerAttribute(q), attribute.String("reason", string(reason))))
}

func handlerAttribute(q transport.Queue) attribute.KeyValue {
	return attribute.String("handler", q.Handler)
}
