// Package logthrottle limits how often a lasting problem is logged.
package logthrottle

import (
	"sync"
	"time"
)

// Throttle allows a log line when a problem begins and one per Interval while it lasts. The zero value has an interval
// of a minute. It is safe for concurrent use.
type Throttle struct {
	Interval time.Duration

	mu         sync.Mutex
	last       time.Time
	suppressed int
}

// Allow reports whether a line may be logged now, and how many were suppressed since the last one.
func (t *Throttle) Allow(now time.Time) (suppressed int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	interval := t.Interval
	if interval == 0 {
		interval = time.Minute
	}
	if !t.last.IsZero() && now.Sub(t.last) < interval {
		t.suppressed++
		return 0, false
	}
	suppressed, t.suppressed, t.last = t.suppressed, 0, now
	return suppressed, true
}

// Reset allows the next line at once. Call it when the problem is over.
func (t *Throttle) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last, t.suppressed = time.Time{}, 0
}
