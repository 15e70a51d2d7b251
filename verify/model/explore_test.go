package model

import (
	"os"
	"testing"
	"time"
)

// explored has the results of explorations, by the number of faults. Tests share them because one takes seconds, and
// explore one after the other because each uses all processors.
var explored = map[int]Result{}

func explore(t *testing.T, faults int) Result {
	t.Helper()
	if known, ok := explored[faults]; ok {
		return known
	}
	start := time.Now()
	result, err := Explore(faults)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d mishaps: %d states, %d of them final, the longest run takes %d moves; %s",
		faults, result.States, result.Ends, result.Longest, time.Since(start).Round(100*time.Millisecond))
	explored[faults] = result
	return result
}

func TestExplore_KeepsEveryInvariant(t *testing.T) {
	explore(t, 0)
	explore(t, 1)
	if os.Getenv("MODEL") == "full" {
		explore(t, 2)
	}
}
