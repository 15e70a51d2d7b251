package load

import (
	"slices"
	"time"

	"github.com/montanaflynn/stats"
)

// Latency has the percentiles of a number of durations, in seconds. They are exact (nearest rank).
type Latency struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func newLatency(durations []time.Duration) Latency {
	if len(durations) == 0 {
		return Latency{}
	}
	seconds := make(stats.Float64Data, len(durations))
	for i, d := range durations {
		seconds[i] = d.Seconds()
	}
	slices.Sort(seconds)
	percentile := func(p float64) float64 {
		n, _ := stats.PercentileNearestRank(seconds, p) // it fails only without data
		return n
	}
	return Latency{Count: len(seconds), P50: percentile(50), P90: percentile(90), P99: percentile(99), Max: seconds[len(seconds)-1]}
}
