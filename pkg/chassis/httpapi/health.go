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

const checkTimeout = 2 * time.Second

// serveReadiness returns 200 if every check passes, else 503 with the names of the checks that fail. The causes are in the
// log only, because the endpoint needs no token. As soon as the process stops, it returns 503.
func (r *Router) serveReadiness(checks map[string]Check, logger *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		if r.draining.Load() {
			c.JSON(http.StatusServiceUnavailable, gin.H{"status": "stopping"})
			return
		}
		ctx, cancel := context.WithTimeout(c.Request.Context(), checkTimeout)
		defer cancel()
		results := make(map[string]string, len(checks))
		ready := true
		for name, err := range runChecks(ctx, checks) {
			switch {
			case err == nil:
				results[name] = "ok"
				continue
			case errors.Is(err, context.DeadlineExceeded):
				results[name] = "timed out"
			default:
				results[name] = "failed"
			}
			ready = false
			logger.WarnContext(ctx, "not ready", "check", name, "error", err)
		}
		if !ready {
			c.JSON(http.StatusServiceUnavailable, gin.H{"status": "not ready", "checks": results})
			return
		}
		c.JSON(http.StatusOK, gin.H{"status": "ready", "checks": results})
	}
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
