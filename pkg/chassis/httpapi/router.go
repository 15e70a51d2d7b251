package httpapi

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// RouterConfig configures [NewRouter]. The zero value is valid and rejects every request under /ops.
type RouterConfig struct {
	// Service is the name of the service in spans and audit snapshots.
	Service string
	// OpsToken opens /ops to requests with Authorization: Bearer. If it is empty, all are rejected.
	OpsToken string
	// DefaultTenant is the tenant of a request without X-Tenant-ID. Default "default".
	DefaultTenant string
	// TrustTraceContext makes each request part of the trace that its headers traceparent, tracestate and baggage name, with
	// that trace's sampling. Only a trusted gateway may then be able to call the service. Otherwise each request starts a
	// trace of its own, which links to the caller's: see docs/adr/0003-trace-context-from-outside.md.
	TrustTraceContext bool
	// MaxBody is the largest size of a request body, in bytes. Default [MaxBody].
	MaxBody int64
	// MaxBodyMemory is the most bytes of request bodies that are held at the same time. Bodies of up to 16 KiB do not
	// count; a larger one counts with its declared length, or else with MaxBody. A request beyond it gets 503 with Retry-After.
	// Default [MaxBodyMemory], 4 MiB, which takes about 20 MiB until the bodies are decoded.
	MaxBodyMemory int64
	// RequestTimeout ends a request's context, and the time in which its body must arrive. Default 10 s.
	RequestTimeout time.Duration
	// Checks holds the readiness checks by name. Each must return when its context ends, which is after 2 s.
	Checks map[string]Check
	// Logger writes the access log. Default slog.Default().
	Logger *slog.Logger
}

// MaxBody is the largest size of a request body in bytes, unless RouterConfig.MaxBody sets another one.
const MaxBody = 1 << 20

// MaxBodyMemory is the default of RouterConfig.MaxBodyMemory.
const MaxBodyMemory = 4 << 20

func (cfg RouterConfig) withDefaults() RouterConfig {
	if cfg.DefaultTenant == "" {
		cfg.DefaultTenant = "default"
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = MaxBody
	}
	if cfg.MaxBodyMemory <= 0 {
		cfg.MaxBodyMemory = MaxBodyMemory
	}
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg
}

// Router is a gin engine that already has what every service serves: /livez, /readyz, /metrics, problem+json for
// every error, ids in every request's context, an access log, limits, and spans.
type Router struct {
	*gin.Engine
	// API is the group /api/v1.
	API *gin.RouterGroup
	// Ops is the group /ops. Its requests have the operators' token.
	Ops *gin.RouterGroup

	service   string
	described []string // operations of the OpenAPI document, such as "GET /api/v1/orders/{orderId}"
	draining  atomic.Bool
}

// NewRouter returns a router to which a service adds its handlers, each wrapped by [Handle].
func NewRouter(cfg RouterConfig) *Router {
	cfg = cfg.withDefaults()
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	// A handler that passes the gin context on as a context still gets time-outs, ids and the span.
	engine.ContextWithFallback = true
	_ = engine.SetTrustedProxies(nil)

	engine.Use(
		traceRequests(cfg),
		linkCaller(cfg.TrustTraceContext),
		identify(cfg.DefaultTenant),
		logAccess(cfg.Logger),
		limit(cfg.MaxBody, cfg.RequestTimeout),
		limitBodies(cfg),
		recoverPanics,
		requireTenant,
	)
	engine.NoRoute(Handle(func(c *gin.Context) error {
		return NotFound("Nothing is served at this path.")
	}))
	engine.NoMethod(Handle(func(c *gin.Context) error {
		return NewProblem(http.StatusMethodNotAllowed, "method-not-allowed", "The path does not support this method", "")
	}))
	r := &Router{
		Engine: engine, API: engine.Group("/api/v1"), Ops: engine.Group("/ops", requireToken(cfg.OpsToken)),
		service: cfg.Service,
	}
	engine.GET("/livez", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "alive"}) })
	engine.GET("/readyz", r.serveReadiness(cfg.Checks, cfg.Logger))
	engine.GET("/metrics", gin.WrapH(promhttp.Handler()))
	return r
}
