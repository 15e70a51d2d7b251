package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/retry"
)

// MaxCount is the largest number of rows in one state that Stats counts: what is read stays bounded.
const MaxCount = 10_000

// Stats counts the rows that are due, by state, each up to MaxCount.
type Stats struct {
	Waiting int64         // due and not blocked
	Blocked int64         // waiting for a queue or after a rejection, or behind such a row
	Parked  int64         // blocked until an operator releases them
	Lag     time.Duration // age of the oldest row that waits: the relay's own delay
	Oldest  time.Duration // age of the oldest row that is due, whatever its state
}

// Stats reads the counts.
func (o Outbox) Stats(ctx context.Context, now time.Time) (Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var (
		s               Stats
		lagging, oldest dialect.Instant
	)
	err := o.DB.QueryRowContext(ctx, o.Dialect.Stats, o.Dialect.Time(now), MaxCount).
		Scan(&s.Waiting, &s.Blocked, &s.Parked, &lagging, &oldest)
	if err != nil {
		return s, fmt.Errorf("outbox: %w", o.Dialect.Explain(err))
	}
	if !lagging.IsZero() {
		s.Lag = max(0, now.Sub(lagging.Time))
	}
	if !oldest.IsZero() {
		s.Oldest = max(0, now.Sub(oldest.Time))
	}
	return s, nil
}

// Monitor reads the counts on a timer. Probes and scrapes get the last ones from memory, so that their number costs the
// database nothing.
type Monitor struct {
	Outbox   Outbox
	Interval time.Duration
	Now      func() time.Time

	last atomic.Pointer[reading]
}

type reading struct {
	stats Stats
	err   error
}

// Run reads the counts until ctx ends: at each interval, or less often if that takes more than a twentieth of the time.
func (m *Monitor) Run(ctx context.Context) {
	for {
		began := time.Now()
		stats, err := m.Outbox.Stats(ctx, m.Now())
		if ctx.Err() != nil {
			return
		}
		m.last.Store(&reading{stats, err})
		if retry.Sleep(ctx, max(m.Interval, 20*time.Since(began))) != nil {
			return
		}
	}
}

// Last returns what was read last, or the error of that.
func (m *Monitor) Last() (Stats, error) {
	last := m.last.Load()
	if last == nil {
		return Stats{}, errors.New("outbox: not read yet")
	}
	return last.stats, last.err
}
