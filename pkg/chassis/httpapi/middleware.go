package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

var correlationPattern = regexp.MustCompile(`^[!-~]{1,128}$`)

// identify puts the ids of the flow, the cause and the tenant into the context, where events.Publish finds them.
// An invalid correlation id is replaced. The id of the request is the causation id of the events that it publishes.
func identify(defaultTenant string) gin.HandlerFunc {
	return func(c *gin.Context) {
		request := uuid.Must(uuid.NewV7()).String()
		correlation := c.GetHeader("X-Correlation-ID")
		if !correlationPattern.MatchString(correlation) {
			correlation = request
		}
		tenant := c.GetHeader("X-Tenant-ID")
		if tenant == "" {
			tenant = defaultTenant
		}
		ctx := events.WithCorrelationID(c.Request.Context(), correlation)
		ctx = events.WithCausationID(ctx, request)
		ctx = events.WithTenantID(ctx, tenant)
		c.Request = c.Request.WithContext(ctx)
		c.Header("X-Correlation-ID", correlation)
		c.Header("X-Request-ID", request)
	}
}

// requireTenant rejects an X-Tenant-ID that is not one valid id.
func requireTenant(c *gin.Context) {
	if len(c.Request.Header.Values("X-Tenant-ID")) > 1 || !ValidID(events.TenantID(c.Request.Context())) {
		fail(c, BadRequest("", FieldError{"X-Tenant-ID", "must be one value that matches " + IDPattern.String()}))
	}
}

// logAccess logs every request after its response: failures of the service as errors, writes and rejected requests at info,
// reads and requests whose client disconnected at debug.
func logAccess(logger *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		c.Next()
		status := c.Writer.Status()
		err, failed := c.Get(failureKey)
		level := slog.LevelInfo
		switch {
		case status >= http.StatusInternalServerError && failed, failed && status < http.StatusBadRequest:
			level = slog.LevelError
		case status == statusClientGone, status < http.StatusBadRequest && isRead(c.Request.Method):
			level = slog.LevelDebug
		}
		attrs := []slog.Attr{
			slog.String("method", c.Request.Method),
			slog.String("path", c.Request.URL.Path),
			slog.String("route", c.FullPath()),
			slog.Int("status", status),
			slog.Int("bytes", max(c.Writer.Size(), 0)),
			slog.Duration("duration", time.Since(start)),
			slog.String("tenant_id", events.TenantID(c.Request.Context())),
		}
		if failed {
			attrs = append(attrs, slog.Any("error", err))
		}
		logger.LogAttrs(c.Request.Context(), level, "request", attrs...)
	}
}

func isRead(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func recoverPanics(c *gin.Context) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			panic(v)
		default:
			fail(c, fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
		}
	}()
	c.Next()
}

func limit(maxBody int64, timeout time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.ContentLength > maxBody {
			fail(c, bodyTooLarge(maxBody))
			return
		}
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBody)
		ctx, cancel := context.WithTimeout(c.Request.Context(), timeout)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

func requireToken(token string) gin.HandlerFunc {
	// The hashes make the time of the comparison independent of the length.
	want := sha256.Sum256([]byte(token))
	return func(c *gin.Context) {
		scheme, shown, _ := strings.Cut(c.GetHeader("Authorization"), " ")
		got := sha256.Sum256([]byte(shown))
		matches := subtle.ConstantTimeCompare(want[:], got[:]) == 1
		if token == "" || !matches || !strings.EqualFold(scheme, "Bearer") {
			c.Header("WWW-Authenticate", `Bearer realm="ops"`)
			fail(c, NewProblem(http.StatusUnauthorized, "unauthorized", "This is for operators", "Send the operators' token.").
				Because(errors.New("no token, or another one")))
		}
	}
}
