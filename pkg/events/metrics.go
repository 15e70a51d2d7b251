package events

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// metrics are the library's instruments; docs/observability.md has the table.
type metrics struct {
	sent, consumed, retriedC, deadLetteredC, parkedC metric.Int64Counter
	process, publishLatency, handleLatency           metric.Float64Histogram
	gauges                                           metric.Registration

	names   transport.Names
	service string
}

var (
	// The boundaries that OpenTelemetry's conventions give for durations of messaging.
	short = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	// Latencies grow with outages, and with the ladder.
	long = append(append([]float64{.001, .0025}, short...), 30, 60, 300, 900, 3600)
)

// statsLimit bounds the query behind the gauges: a database that hangs must not keep the process from being scraped.
const statsLimit = 2 * time.Second

func newMetrics(cfg Config, o outbox, names transport.Names) (*metrics, error) {
	meter := cfg.MeterProvider.Meter(scope)
	m := &metrics{names: names, service: cfg.Service}
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
	counter(&m.sent, sentMessages, "{message}", "Events sent to the broker. Without error_type it has confirmed and not returned them.")
	counter(&m.consumed, consumedMessages, "{message}", "Deliveries taken from a queue, repeated ones included.")
	counter(&m.retriedC, "events.retried", "", "Deliveries that failed and will be tried again.")
	counter(&m.deadLetteredC, "events.dead_lettered", "", "Deliveries that went to the dead letters.")
	counter(&m.parkedC, "events.parked", "", "Events that were parked because the broker refuses them.")
	histogram(&m.process, processDuration, short, "Duration of one attempt of a reaction.")
	histogram(&m.publishLatency, "events.publish.latency", long,
		"From an event's creation, or from when it was scheduled for, until the broker has confirmed it.")
	histogram(&m.handleLatency, "events.consume.latency", long,
		"From an event's creation until a reaction to it is committed: schedule, queueing and retries included.")

	oldest, err := meter.Float64ObservableGauge("events.outbox.oldest_age", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest event that is due and not yet published, whatever it waits for."))
	errs = append(errs, err)
	rows, err := meter.Int64ObservableGauge("events.outbox.size", metric.WithDescription("Rows in the outbox, by state."))
	errs = append(errs, err)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	service := m.attributes()
	m.gauges, err = meter.RegisterCallback(func(ctx context.Context, obs metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, statsLimit)
		defer cancel()
		s, err := o.stats(ctx, cfg.Now())
		if err != nil {
			return err
		}
		obs.ObserveFloat64(oldest, s.oldest.Seconds(), service)
		for state, n := range map[string]int64{"waiting": s.waiting, "blocked": s.blocked, "parked": s.parked} {
			obs.ObserveInt64(rows, n, m.attributes(attribute.String("state", state)))
		}
		return nil
	}, oldest, rows)
	return m, err
}

// begin has the counters of what happens seldom start at zero. In one that first appears with its first event, a
// monitoring system would not see that one as an increase.
func (m *metrics) begin(ctx context.Context, queues []transport.Queue) {
	m.parkedC.Add(ctx, 0, m.attributes())
	for _, q := range queues {
		m.retriedC.Add(ctx, 0, m.attributes(handlerAttribute(q)))
		for _, reason := range []transport.Reason{transport.ReasonFailed, transport.ReasonPermanent, transport.ReasonUndecodable, transport.ReasonIncompatible} {
			m.deadLetteredC.Add(ctx, 0, m.attributes(handlerAttribute(q), attribute.String("reason", string(reason))))
		}
	}
}

func (m *metrics) close() { _ = m.gauges.Unregister() }

// attributes are those given and the service's name: several services may share one process, and its meter provider.
func (m *metrics) attributes(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, attribute.String("service", m.service))...))
}

// published counts what was sent, and measures what was confirmed.
func (m *metrics) published(ctx context.Context, eventType string, outcome error, waited time.Duration) {
	attrs := messaging(m.names, "publish", m.names.Destination(m.service, eventType))
	if outcome == nil {
		m.publishLatency.Record(ctx, max(0, waited).Seconds(), m.attributes())
	} else {
		attrs = append(attrs, errorKey.String(sendError(outcome)))
	}
	m.sent.Add(ctx, 1, m.attributes(attrs...))
}

func (m *metrics) parked(ctx context.Context) { m.parkedC.Add(ctx, 1, m.attributes()) }

// received counts a delivery.
func (m *metrics) received(ctx context.Context, q transport.Queue) {
	m.consumed.Add(ctx, 1, m.attributes(m.processing(q)...))
}

// handled measures one attempt.
func (m *metrics) handled(ctx context.Context, q transport.Queue, took time.Duration, err error) {
	attrs := m.processing(q)
	if kind := errorType(err); kind != "" {
		attrs = append(attrs, errorKey.String(kind))
	}
	m.process.Record(ctx, took.Seconds(), m.attributes(attrs...))
}

func (m *metrics) processing(q transport.Queue) []attribute.KeyValue {
	return append(messaging(m.names, "process", m.names.Source(q)), handlerAttribute(q))
}

// done measures the way of an event from its creation to its effect.
func (m *metrics) done(ctx context.Context, q transport.Queue, since time.Duration) {
	m.handleLatency.Record(ctx, max(0, since).Seconds(), m.attributes(handlerAttribute(q)))
}

func (m *metrics) retried(ctx context.Context, q transport.Queue) {
	m.retriedC.Add(ctx, 1, m.attributes(handlerAttribute(q)))
}

func (m *metrics) deadLettered(ctx context.Context, q transport.Queue, reason transport.Reason) {
	m.deadLetteredC.Add(ctx, 1, m.attributes(handlerAttribute(q), attribute.String("reason", string(reason))))
}

func handlerAttribute(q transport.Queue) attribute.KeyValue {
	return attribute.String("handler", q.Handler)
}
