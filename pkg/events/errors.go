package events

import (
	"errors"
	"time"
)

// A reaction's error is its verdict. nil: done. A plain error: again, one rung further down the ladder, and into
// the dead letters after the last. The wrappers below say otherwise; they are found with errors.As, so they may be
// wrapped again.

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent says that trying again is pointless: the event goes to the dead letters at once. Permanent(nil) is nil.
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

// RetryAfter says that trying again is pointless before d has passed. It counts as an attempt. A transport with
// fixed rungs takes the shortest that is not shorter than d, or its longest. RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, d}
}

type unavailableError struct{ err error }

func (e *unavailableError) Error() string { return e.err.Error() }
func (e *unavailableError) Unwrap() error { return e.err }

// Unavailable says that an outside party cannot be reached, so that no event would fare better: the subscription
// pauses, probing with backoff, and spends no attempts. A database that does not answer is recognised without it.
// Unavailable(nil) is nil.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &unavailableError{err}
}

func isUnavailable(err error) bool {
	var u *unavailableError
	return errors.As(err, &u)
}
