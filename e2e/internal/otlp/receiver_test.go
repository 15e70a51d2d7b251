package otlp_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

func start(t *testing.T, cfg otlp.Config) *otlp.Receiver {
	t.Helper()
	r, err := otlp.Start("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// program returns a tracer whose spans arrive at r when flush is called.
func program(t *testing.T, r *otlp.Receiver, name string, opts ...otlptracehttp.Option) (_ trace.Tracer, flush func()) {
	t.Helper()
	exporter, err := otlptracehttp.New(t.Context(), append(opts, otlptracehttp.WithEndpointURL(r.URL()+"/v1/traces"))...)
	if err != nil {
		t.Fatal(err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", name))))
	flush = func() {
		if err := provider.ForceFlush(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return provider.Tracer("test"), flush
}

func TestReceiver_KeepsSpans(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]otlptracehttp.Option{
		"plain":   nil,
		"gzipped": {otlptracehttp.WithCompression(otlptracehttp.GzipCompression)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, otlp.Config{Index: []string{"subject"}})
			tracer, flush := program(t, r, "order", opts...)
			_, other := tracer.Start(t.Context(), "request", trace.WithSpanKind(trace.SpanKindServer))
			ctx, parent := tracer.Start(t.Context(), "process", trace.WithSpanKind(trace.SpanKindConsumer),
				trace.WithLinks(trace.Link{SpanContext: other.SpanContext()}))
			_, child := tracer.Start(ctx, "create", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
				attribute.String("subject", "o-1"), attribute.Int("attempt", 2), attribute.Bool("late", true),
				attribute.StringSlice("tags", []string{"a"})))
			child.SetStatus(codes.Error, "no")
			child.End()
			parent.End()
			other.End()
			flush()

			got := r.With("subject", "o-1")
			if len(got) != 1 {
				t.Fatalf("%d spans with the attribute", len(got))
			}
			s := got[0]
			if s.Name != "create" || s.Service != "order" || s.Kind != otlp.Producer || !s.Failed || s.Start.After(s.End) || s.Start.IsZero() ||
				s.Attribute("attempt") != "2" || s.Attribute("late") != "true" || !strings.Contains(s.Attribute("tags"), "a") || s.Attribute("none") != "" {
				t.Errorf("received %+v", s)
			}
			whole := r.Trace(s.Trace)
			if len(whole) != 2 || whole[0].ID != s.Parent || whole[0].Parent != "" || whole[0].Failed {
				t.Fatalf("the trace is %+v", whole)
			}
			if request := r.Span(whole[0].Links[0]); request == nil || !whole[0].LinksTo(request) || request.Kind != otlp.Server {
				t.Errorf("the link leads to %+v", request)
			}
			if whole[0].LinksTo(s) || r.Span(otlp.Link{Trace: s.Trace, ID: "none"}) != nil {
				t.Error("a link to another span is found")
			}
		})
	}
}

func TestReceiver_Await(t *testing.T) {
	t.Parallel()
	r := start(t, otlp.Config{Index: []string{"subject"}})
	const programs, spans = 8, 50
	var all sync.WaitGroup
	for range programs {
		all.Go(func() {
			tracer, flush := program(t, r, "order")
			for range spans {
				_, span := tracer.Start(t.Context(), "create", trace.WithAttributes(attribute.String("subject", "o-1")))
				span.End()
			}
			flush()
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.Await(ctx, func() bool { return len(r.With("subject", "o-1")) == programs*spans }); err != nil {
		t.Error(err)
	}
	all.Wait()
	cancel()
	if err := r.Await(ctx, func() bool { return false }); err == nil {
		t.Error("Await returned nil although the condition is false")
	}
}

func TestReceiver_FindsSecretsInEveryField(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	r := start(t, otlp.Config{Keep: func(*otlp.Span) bool { return false }, Secrets: []string{secret, "another"}})
	tracer, flush := program(t, r, "payment")
	end := func(span trace.Span) { span.End(); flush() }
	for field, send := range map[string]func(){
		"name": func() { _, s := tracer.Start(t.Context(), "pay with hunter2"); end(s) },
		"attribute": func() {
			_, s := tracer.Start(t.Context(), "x", trace.WithAttributes(attribute.String("card", secret)))
			end(s)
		},
		"event": func() { _, s := tracer.Start(t.Context(), "x"); s.AddEvent("with hunter2"); end(s) },
		"event after an error": func() {
			_, s := tracer.Start(t.Context(), "x")
			s.RecordError(context.DeadlineExceeded)
			s.AddEvent(secret)
			end(s)
		},
		"status": func() { _, s := tracer.Start(t.Context(), "x"); s.SetStatus(codes.Error, "hunter2 is wrong"); end(s) },
		"list": func() {
			_, s := tracer.Start(t.Context(), "x", trace.WithAttributes(attribute.StringSlice("all", []string{"a", secret})))
			end(s)
		},
	} {
		before := len(r.Leaks())
		send()
		if leaks := r.Leaks(); len(leaks) != before+1 || !strings.Contains(leaks[before], secret) || !strings.Contains(leaks[before], "payment") {
			t.Errorf("%s: leaks %v", field, leaks)
		}
	}
	_, span := tracer.Start(t.Context(), "without a secret")
	before := len(r.Leaks())
	end(span)
	if len(r.Leaks()) != before {
		t.Error("a span without a secret is a leak")
	}
	if r.Trace(span.SpanContext().TraceID().String()) != nil {
		t.Error("a span is kept although Keep returns false")
	}

	tracer, flush = program(t, r, "service-hunter2")
	_, span = tracer.Start(t.Context(), "x")
	before = len(r.Leaks())
	if end(span); len(r.Leaks()) != before+1 {
		t.Error("a secret in a resource is not found")
	}
}

func TestReceiver_RejectsInvalidRequests(t *testing.T) {
	t.Parallel()
	r := start(t, otlp.Config{})
	for _, c := range []struct{ kind, encoding, body string }{
		{"application/json", "", "{}"},
		{"application/x-protobuf", "br", ""},
		{"application/x-protobuf", "gzip", "not gzip"},
		{"application/x-protobuf", "", "not protobuf"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/v1/traces", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", c.kind)
		req.Header.Set("Content-Encoding", c.encoding)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%+v: status %d", c, resp.StatusCode)
		}
	}
}
