package stackclient

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrPatience is that something did not happen in time.
var ErrPatience = errors.New("it did not happen in time")

// Eventually asks until the answer is yes, for as long as patience lasts. What is still so in the end is told, with
// ErrPatience. An error ends it, unless it says that the shop is away, which may be for a moment.
func Eventually(
	ctx context.Context, patience time.Duration, what string, ask func(ctx context.Context) (yes bool, still string, err error),
) error {
	deadline := time.Now().Add(patience)
	for {
		yes, still, err := ask(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case Away(err):
			still = err.Error()
		case err != nil:
			return err
		case yes:
			return nil
		}
		if time.Now().After(deadline) {
			if still != "" {
				still = ": " + still
			}
			return fmt.Errorf("waited %v for %s%s: %w", patience, what, still, ErrPatience)
		}
		if err := Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// Sleep is ctx's error if it ends first.
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
