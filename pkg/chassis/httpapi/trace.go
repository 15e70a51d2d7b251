package httpapi

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceRequests opens the span of each request. If the caller's trace context is not trusted, the span has no parent, the
// sampler of this service decides, and the caller's baggage is dropped.
func traceRequests(cfg RouterConfig) gin.HandlerFunc {
	options := []otelgin.Option{otelgin.WithFilter(worthTracing)}
	if !cfg.TrustTraceContext {
		options = append(options, otelgin.WithPropagators(propagation.NewCompositeTextMapPropagator()))
	}
	return otelgin.Middleware(cfg.Service, options...)
}

// linkCaller links the span of a request to the trace context of an untrusted caller.
func linkCaller(trusted bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		if trusted {
			return
		}
		ctx := c.Request.Context()
		span := trace.SpanFromContext(ctx)
		caller := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(c.Request.Header)))
		if caller.IsRemote() {
			span.AddLink(trace.Link{SpanContext: caller, Attributes: []attribute.KeyValue{
				attribute.String("events.link.reason", "caller"),
			}})
		}
	}
}

func worthTracing(r *http.Request) bool {
	switch r.URL.Path {
	case "/livez", "/readyz", "/metrics", documentRoute, viewerRoute:
		return false
	}
	return !strings.HasPrefix(r.URL.Path, viewerRoute+"/")
}
