package load

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSchedule_Rate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rate   float64
		length time.Duration
		n      int
		last   time.Duration
	}{
		{50, 30 * time.Second, 1500, 29980 * time.Millisecond},
		{0.5, 10 * time.Second, 5, 8 * time.Second},
		{3, time.Second, 3, 666666666},
		{0.001, time.Second, 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			var last time.Duration
			came := newSchedule(c.rate, c.length).run(t.Context(), start, func(due time.Time) {
				if !due.Equal(time.Now()) {
					t.Errorf("due at %v, came at %v", due.Sub(start), time.Since(start))
				}
				last = time.Since(start)
			})
			if came != c.n || last != c.last {
				t.Errorf("%v/s for %v: %d came, the last after %v", c.rate, c.length, came, last)
			}
		})
	}
}

// A late order is placed at once, and the following ones at their own times.
func TestSchedule_CatchesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var due, at []time.Duration
		newSchedule(10, time.Second).run(t.Context(), start, func(d time.Time) {
			due, at = append(due, d.Sub(start)), append(at, time.Since(start))
			if len(due) == 3 {
				time.Sleep(350 * time.Millisecond) //nolint:forbidigo // virtual time
			}
		})
		for i := range 10 {
			moment := time.Duration(i) * 100 * time.Millisecond
			if due[i] != moment {
				t.Errorf("%d was due at %v", i, due[i])
			}
			if i >= 3 && i <= 5 {
				moment = 550 * time.Millisecond
			}
			if at[i] != moment {
				t.Errorf("%d came at %v, not at %v", i, at[i], moment)
			}
		}
	})
}

func TestSchedule_Stop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 450*time.Millisecond)
		defer cancel()
		n := 0
		if came := newSchedule(10, time.Minute).run(ctx, time.Now(), func(time.Time) { n++ }); came != 5 || n != 5 {
			t.Errorf("%d came, and %d were counted", n, came)
		}
	})
}
