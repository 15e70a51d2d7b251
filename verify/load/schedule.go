package load

import (
	"context"
	"math"
	"time"
)

// schedule says when customers come.
type schedule struct {
	rate float64 // per second
	n    int
}

// planned is a schedule of at least one customer.
func planned(rate float64, length time.Duration) schedule {
	return schedule{rate, max(1, int(math.Round(rate*length.Seconds())))}
}

// after is when the i-th customer comes, counted from the first, who is number 0.
func (s schedule) after(i int) time.Duration {
	return time.Duration(float64(i) / s.rate * float64(time.Second))
}

// run calls come for one customer after the other, when each is due, and blocks until all have come or ctx has ended. It
// answers how many came. Whatever makes it late, it catches up: nobody is left out, and due stays what it was.
func (s schedule) run(ctx context.Context, start time.Time, come func(due time.Time)) int {
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
		come(due)
	}
	return s.n
}
