package events

import (
	"context"
	"errors"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/dberror"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/telemetry"
)

// A handler's error decides the outcome of the delivery. nil acknowledges it, and a plain error retries it after the next
// of the retry delays. The wrappers below decide otherwise. They are found with errors.As, so they may be wrapped again.

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks err as an error that no retry can solve: the event becomes a dead letter at once. Permanent(nil) is
// nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type retryAfterError struct {
	err   error
	delay time.Duration
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }

// RetryAfter marks err as an error that is worth no retry before d has passed. It counts as an attempt. A transport with
// fixed delays uses the shortest retry delay that is not shorter than d, or the longest one. RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, d}
}

type unavailableError struct{ err error }

func (e *unavailableError) Error() string { return e.err.Error() }
func (e *unavailableError) Unwrap() error { return e.err }

// Unavailable marks err as the outage of an external system, which would affect every event: the subscription pauses,
// retries with back-off and counts no attempts. An outage of the service's own database is recognized without it.
// Unavailable(nil) is nil.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &unavailableError{err}
}

// undecodableError means that the data of an event does not fit the ETO.
type undecodableError struct{ err error }

func (e *undecodableError) Error() string { return e.err.Error() }
func (e *undecodableError) Unwrap() error { return e.err }

// isUnavailable reports whether an error affects every event alike.
func isUnavailable(err error) bool {
	var u *unavailableError
	return errors.As(err, &u) || errors.Is(err, dialect.ErrNotMigrated)
}

// errorType returns the error.type of a handler's error, "" for nil.
func errorType(err error) string {
	var (
		permanent   *permanentError
		undecodable *undecodableError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &permanent):
		return telemetry.ErrorPermanent
	case errors.As(err, &undecodable):
		return telemetry.ErrorUndecodable
	case isUnavailable(err), dberror.KindOf(err) == dberror.Unavailable:
		return telemetry.ErrorUnavailable
	case dberror.KindOf(err) == dberror.Locked:
		return telemetry.ErrorLocked
	case errors.Is(err, context.DeadlineExceeded):
		return telemetry.ErrorTimeout
	default:
		return telemetry.ErrorOther
	}
}
