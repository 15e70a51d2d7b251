// Package retry holds the back-off that package events and its transports share.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is a series of delays that doubles from First to Max. Each delay is drawn from the upper half of its value, so
// that many clients do not retry at the same moment. It is not safe for concurrent use.
type Backoff struct {
	First, Max time.Duration
	Jitter     func() float64 // source of randomness in [0, 1); nil means math/rand

	n int
}

// Next returns the next delay.
func (b *Backoff) Next() time.Duration {
	d := Delay(b.First, b.Max, b.n, b.Jitter)
	b.n++
	return d
}

// Reset starts the series again.
func (b *Backoff) Reset() { b.n = 0 }

// Delay returns the delay after n earlier ones.
func Delay(first, longest time.Duration, n int, jitter func() float64) time.Duration {
	if jitter == nil {
		jitter = rand.Float64
	}
	d := longest
	if n < 30 {
		d = min(first<<n, longest)
	}
	return d/2 + time.Duration(float64(d/2)*jitter())
}

// Sleep blocks for d or until ctx ends, and returns the error of ctx.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
