package inprocess

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// backoff is a series of pauses that double, each between a half and the whole. The zero value is ready.
type backoff struct{ n int }

func (b *backoff) reset() { b.n = 0 }

// wait pauses, or returns early when ctx ends.
func (b *backoff) wait(ctx context.Context) {
	d := maxPause
	if b.n < 10 {
		d = min(minPause<<b.n, maxPause)
	}
	b.n++
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
