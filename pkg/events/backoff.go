package events

import (
	"context"
	"time"
)

// backoff is a series of delays that doubles from first to most, each between a half and the whole.
type backoff struct {
	first, most time.Duration
	jitter      func() float64
	n           int
}

func (b *backoff) next() time.Duration {
	d := b.most
	if b.n < 30 {
		d = min(b.first<<b.n, b.most)
	}
	b.n++
	return d/2 + time.Duration(float64(d/2)*b.jitter())
}

func (b *backoff) reset() { b.n = 0 }

// complaint is about trouble that lasts: it is worth a line when it begins, and then one a minute.
type logThrottle struct{ last time.Time }

func (c *logThrottle) allow(now time.Time) bool {
	if !c.last.IsZero() && now.Sub(c.last) < time.Minute {
		return false
	}
	c.last = now
	return true
}

// over has the next trouble be told at once.
func (c *logThrottle) reset() { c.last = time.Time{} }

// sleep blocks for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
