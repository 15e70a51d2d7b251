package stackclient

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrTimeout is the error of an expected result that did not appear in time.
var ErrTimeout = errors.New("timeout")

// Eventually calls check until it reports done, at most for timeout. Then it returns ErrTimeout with the current result. An
// error of check ends it, except for those of an unavailable stack, which may recover.
func Eventually(
	ctx context.Context, timeout time.Duration, what string, check func(ctx context.Context) (done bool, current string, err error),
) error {
	deadline := time.Now().Add(timeout)
	for {
		done, current, err := check(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case IsUnavailable(err):
			current = err.Error()
		case err != nil:
			return err
		case done:
			return nil
		}
		if time.Now().After(deadline) {
			if current != "" {
				current = ": " + current
			}
			return fmt.Errorf("waited %v for %s%s: %w", timeout, what, current, ErrTimeout)
		}
		if err := Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// Sleep blocks for d. It returns the error of ctx if that ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
