package load

import (
	"context"
	"math"
	"time"
)

// schedule has the times at which orders are due.
type schedule struct {
	rate float64 // per second
	n    int
}

// newSchedule returns a schedule of at least one order.
func newSchedule(rate float64, length time.Duration) schedule {
	return schedule{rate, max(1, int(math.Round(rate*length.Seconds())))}
}

// after returns when the i-th order is due after the first one, which has the number 0.
func (s schedule) after(i int) time.Duration {
	return time.Duration(float64(i) / s.rate * float64(time.Second))
}

// run calls arrive for one order after the other, each when it is due, and blocks until the last one or the end of ctx. It
// returns the number of calls. If it is late, it catches up: it leaves out no order, and due stays the scheduled time.
func (s schedule) run(ctx context.Context, start time.Time, arrive func(due time.Time)) int {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range s.n {
		due := start.Add(s.after(i))
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return i
		}
		if ctx.Err() != nil {
			return i
		}
		arrive(due)
	}
	return s.n
}
