package main

import (
	"fmt"
	"strings"
	"time"
)

// parseLadder reads delays separated by commas; "" is the library's default.
func parseLadder(s string) ([]time.Duration, error) {
	if s == "" {
		return nil, nil
	}
	var ladder []time.Duration
	for part := range strings.SplitSeq(s, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("retry ladder %q: %w", s, err)
		}
		ladder = append(ladder, d)
	}
	return ladder, nil
}
