package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// It sets the global provider and is therefore not parallel.
func TestRouter_TraceContextOfCaller(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider, propagator := otel.GetTracerProvider(), otel.GetTextMapPropagator()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	t.Cleanup(func() {
		otel.SetTracerProvider(provider)
		otel.SetTextMapPropagator(propagator)
	})
	const caller = "0af7651916cd43dd8448eb211c80319c"
	request := func(trusted bool, flags string) (span trace.SpanContext, item string) {
		router := httpapi.NewRouter(httpapi.RouterConfig{TrustTraceContext: trusted})
		router.API.GET("/things", func(c *gin.Context) {
			ctx := c.Request.Context()
			span, item = trace.SpanContextFromContext(ctx), baggage.FromContext(ctx).Member("plan").Value()
			c.Status(http.StatusNoContent)
		})
		do(router, http.MethodGet, "/api/v1/things", "", "Baggage", "plan=gold", "Traceparent", "00-"+caller+"-b7ad6b7169203331-"+flags)
		return span, item
	}

	for _, flags := range []string{"00", "01"} {
		span, item := request(false, flags)
		if span.TraceID().String() == caller || !span.IsSampled() || item != "" {
			t.Errorf("untrusted, flags %s: the caller decided on trace %v, sampled %v, baggage %q", flags, span.TraceID(), span.IsSampled(), item)
		}
		ended := spans.Ended()
		last := ended[len(ended)-1]
		if links := last.Links(); last.Parent().IsValid() || len(links) != 1 || links[0].SpanContext.TraceID().String() != caller {
			t.Errorf("untrusted, flags %s: parent %v, links %v", flags, last.Parent(), links)
		}
		span, item = request(true, flags)
		if span.TraceID().String() != caller || span.IsSampled() != (flags == "01") || item != "gold" {
			t.Errorf("trusted, flags %s: trace %v, sampled %v, baggage %q", flags, span.TraceID(), span.IsSampled(), item)
		}
	}
}
