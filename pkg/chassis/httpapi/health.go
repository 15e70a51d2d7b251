package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// Check reports whether something that a service depends on works; nil means that it does. It returns when ctx ends.
type Check func(ctx context.Context) error

const (
	// checkTimeout ends the context of the checks.
	checkTimeout = 2 * time.Second
	// checkGrace is how much longer a probe waits for a check that ignores its context.
	checkGrace = time.Second
	// checkValidity is how long the results of the checks are served again.
	checkValidity = time.Second
)

// serveReadiness returns 200 if every check passes, else 503 with the names of the checks that fail. The causes are in the
// log only, because the endpoint needs no token. As soon as the process stops, it returns 503.
func (r *Router) serveReadiness(checks map[string]Check, logger *slog.Logger) gin.HandlerFunc {
	h := &health{checks: checks, logger: logger}
	return func(c *gin.Context) {
		if r.draining.Load() {
			c.JSON(http.StatusServiceUnavailable, gin.H{"status": "stopping"})
			return
		}
		ctx, cancel := context.WithTimeout(c.Request.Context(), checkTimeout+checkGrace)
		defer cancel()
		e := h.evaluate()
		select {
		case <-e.done:
		case <-ctx.Done():
			c.JSON(http.StatusServiceUnavailable, gin.H{"status": "not ready"})
			return
		}
		if !e.ready {
			c.JSON(http.StatusServiceUnavailable, gin.H{"status": "not ready", "checks": e.results})
			return
		}
		c.JSON(http.StatusOK, gin.H{"status": "ready", "checks": e.results})
	}
}

// health runs the checks once for all probes that arrive while they run, or within checkValidity after that. However many
// probes there are, each check therefore runs at most once at a time, and once a second.
type health struct {
	checks map[string]Check
	logger *slog.Logger

	mu     sync.Mutex // guards latest
	latest *evaluation
}

// evaluation is one run of all checks. The fields after done are written before it is closed.
type evaluation struct {
	done    chan struct{}
	endedAt time.Time
	ready   bool
	results map[string]string
}

// evaluate returns an evaluation that is running or valid. It does not block.
func (h *health) evaluate() *evaluation {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.latest == nil || h.latest.expired() {
		h.latest = &evaluation{done: make(chan struct{})}
		go h.run(h.latest)
	}
	return h.latest
}

func (e *evaluation) expired() bool {
	select {
	case <-e.done:
		return time.Since(e.endedAt) > checkValidity
	default:
		return false
	}
}

// run has a context of its own, because the first of the probes that share the evaluation may disconnect.
func (h *health) run(e *evaluation) {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	e.ready, e.results = true, make(map[string]string, len(h.checks))
	for name, err := range runChecks(ctx, h.checks) {
		switch {
		case err == nil:
			e.results[name] = "ok"
			continue
		case errors.Is(err, context.DeadlineExceeded):
			e.results[name] = "timed out"
		default:
			e.results[name] = "failed"
		}
		e.ready = false
		h.logger.WarnContext(ctx, "not ready", "check", name, "error", err)
	}
	e.endedAt = time.Now()
	close(e.done)
}

func runChecks(ctx context.Context, checks map[string]Check) map[string]error {
	var mu sync.Mutex
	var group sync.WaitGroup
	results := make(map[string]error, len(checks))
	for name, check := range checks {
		group.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			results[name] = err
		})
	}
	group.Wait()
	return results
}

// Drain turns readiness false: from now on /readyz returns 503 with the status "stopping".
func (r *Router) Drain() { r.draining.Store(true) }
