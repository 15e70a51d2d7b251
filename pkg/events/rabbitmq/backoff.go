package rabbitmq

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// backoff doubles its pauses up to maxPause, each shortened by up to a half so that many do not march in step.
type backoff struct{ next time.Duration }

func (b *backoff) reset() { b.next = 0 }

// wait blocks for the next pause or until one of the contexts ends.
func (b *backoff) wait(ctx, other context.Context) {
	b.next = min(max(2*b.next, firstPause), maxPause)
	pause := time.NewTimer(b.next - time.Duration(rand.Int64N(int64(b.next)/2)))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	case <-other.Done():
	}
}
