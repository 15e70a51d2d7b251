package load

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestLatency(t *testing.T) {
	t.Parallel()
	if got := newLatency(nil); got != (Latency{}) {
		t.Errorf("none: %+v", got)
	}
	if got := newLatency([]time.Duration{7 * time.Second}); got != (Latency{1, 7, 7, 7, 7}) {
		t.Errorf("one: %+v", got)
	}
	if got := newLatency([]time.Duration{2 * time.Second, time.Second}); got != (Latency{2, 1, 2, 2, 2}) {
		t.Errorf("two: %+v", got)
	}
	var all []time.Duration
	for i := range 1000 {
		all = append(all, time.Duration(i+1)*time.Second)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if got := newLatency(all); got != (Latency{1000, 500, 900, 990, 1000}) {
		t.Errorf("a thousand: %+v", got)
	}
}
