package httpapi

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/dberror"
)

// failureKey is where the access log finds a request's error.
const failureKey = "chassis.failure"

// statusClientGone is logged for a request whose client disconnected before the response. It is never sent.
const statusClientGone = 499

// Handle converts a handler that returns an error into one for gin. If the error is nil, h has written the response. A
// [*Problem] is written as it is. An error because the database is unavailable or busy, or because the request timed out,
// becomes 503 with Retry-After. Any other error becomes 500 without details. The access log has the whole error.
func Handle(h func(c *gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			fail(c, err)
		}
	}
}

func fail(c *gin.Context, err error) {
	c.Abort()
	c.Set(failureKey, err)
	if c.Writer.Written() {
		return
	}
	ctx := c.Request.Context()
	// The server cancels the context of a request whose body did not arrive in time, although its client is connected.
	if errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.Status(statusClientGone)
		return
	}
	p := *problemFor(err)
	p.Instance = c.Request.URL.EscapedPath()
	p.CorrelationID = events.CorrelationID(ctx)
	p.write(c.Writer)
	if p.Status >= http.StatusInternalServerError {
		// Marks the request's span as failed. Mistakes of clients do not.
		_ = c.Error(err)
	}
}

func problemFor(err error) *Problem {
	var problem *Problem
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &tooLarge):
		return bodyTooLarge(tooLarge.Limit)
	}
	switch dberror.KindOf(err) {
	case dberror.Unavailable, dberror.Disconnected:
		return Unavailable("A resource that this needs is unavailable. Send the same request again to find out whether anything was changed.", 2*time.Second)
	case dberror.Locked, dberror.Aborted:
		return Unavailable("Something else is changing this at the moment. Nothing was changed by this request. Try again.", time.Second)
	case dberror.TimedOut:
		return tookTooLong()
	case dberror.Unknown, dberror.Rejected:
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return tookTooLong()
	}
	return internalError(err)
}

func tookTooLong() *Problem { return Unavailable("This took too long. Try again.", time.Second) }
