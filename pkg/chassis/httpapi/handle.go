package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// failureKey is where the access log finds a request's error.
const failureKey = "chassis.failure"

// statusClientGone is logged for a request whose client did not wait for the answer; nobody receives it.
const statusClientGone = 499

// Handle turns a handler that returns an error into one for gin. A nil error means that h has answered. A [*Problem]
// is written as it is; a database that is away or busy, or a request that ran out of time, becomes 503 with Retry-After;
// any other error becomes 500 and tells the client nothing. The access log has the whole error.
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
	if errors.Is(ctx.Err(), context.Canceled) {
		c.Status(statusClientGone)
		return
	}
	p := *problemFor(err)
	p.Instance = c.Request.URL.EscapedPath()
	p.CorrelationID = events.CorrelationID(ctx)
	p.write(c.Writer)
	if p.Status >= http.StatusInternalServerError {
		// Marks the request's span as failed; a client's mistake does not.
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
	case database.IsUnavailable(err):
		return Unavailable("A resource that this needs is away. Nothing was changed, or try again to find out.", 2*time.Second)
	case database.IsBusy(err), errors.Is(err, context.DeadlineExceeded):
		return Unavailable("This took too long. Try again.", time.Second)
	}
	return internalError(err)
}
