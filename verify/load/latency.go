package load

import (
	"math"
	"slices"
	"time"
)

// Latency tells how long something took, in seconds. The percentiles are exact: a run is small enough to remember every
// single one.
type Latency struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func latencyOf(all []time.Duration) Latency {
	if len(all) == 0 {
		return Latency{}
	}
	slices.Sort(all)
	return Latency{
		Count: len(all), P50: percentile(all, 50).Seconds(), P90: percentile(all, 90).Seconds(),
		P99: percentile(all, 99).Seconds(), Max: all[len(all)-1].Seconds(),
	}
}

// percentile is the shortest of the sorted durations that p percent of them do not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}
