package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Start installs the process's OpenTelemetry providers, configured by the standard OTEL_* variables. Call it once in a
// process, and call shutdown at the end: it sends what is buffered, and blocks until that is done or its context ends.
//
// Spans are recorded and exported only if OTEL_TRACES_EXPORTER or an OTLP endpoint is set. Trace ids for logs and events
// exist in any case; without an exporter they are marked as not sampled. Metrics are always on /metrics, and are pushed as
// well if OTEL_METRICS_EXPORTER is set.
func Start(ctx context.Context, service, version string) (shutdown func(context.Context) error, err error) {
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { slog.Warn("telemetry", "error", err) }))
	if os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return func(context.Context) error { return nil }, nil
	}
	// The environment comes last, because OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are to win.
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", service), attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry: resource: %w", err)
	}
	tracing := []trace.TracerProviderOption{trace.WithResource(res)}
	if exportsTraces() {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("telemetry: traces: %w", err)
		}
		tracing = append(tracing, trace.WithBatcher(exporter))
	} else {
		// Trace ids are needed in any case. Spans that are not exported are not recorded.
		tracing = append(tracing, trace.WithSampler(trace.NeverSample()))
	}
	scraped, err := prometheus.New(prometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("telemetry: metrics: %w", err)
	}
	measuring := []metric.Option{metric.WithResource(res), metric.WithReader(scraped), metric.WithView(boundedLabels)}
	if exportsMetrics() {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return nil, fmt.Errorf("telemetry: metrics: %w", err)
		}
		measuring = append(measuring, metric.WithReader(reader))
	}
	tracers, meters := trace.NewTracerProvider(tracing...), metric.NewMeterProvider(measuring...)
	otel.SetTracerProvider(tracers)
	otel.SetMeterProvider(meters)
	return func(ctx context.Context) error {
		return errors.Join(tracers.Shutdown(ctx), meters.Shutdown(ctx))
	}, nil
}

// boundedLabels keeps only those attributes of HTTP requests whose values are in a closed list. Others come from the client: the
// port in a Host header would make a new series for each value.
var boundedLabels = metric.NewView(
	metric.Instrument{Name: "http.server.*"},
	metric.Stream{AttributeFilter: attribute.NewAllowKeysFilter(
		semconv.HTTPRequestMethodKey, semconv.HTTPRouteKey, semconv.HTTPResponseStatusCodeKey, semconv.ErrorTypeKey,
	)},
)

func exportsTraces() bool {
	return os.Getenv("OTEL_TRACES_EXPORTER") != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" ||
		os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// exportsMetrics reports whether metrics are pushed. It ignores OTEL_EXPORTER_OTLP_ENDPOINT, because many collectors of
// traces reject metrics, and "prometheus", for which the exporter package would open a second port.
func exportsMetrics() bool {
	exporter := os.Getenv("OTEL_METRICS_EXPORTER")
	return exporter != "" && exporter != "none" && exporter != "prometheus"
}
