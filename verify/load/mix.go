package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Share is the proportion of a story.
type Share struct {
	Story  string `json:"story"`
	Weight int    `json:"weight"`
}

// Mix has the proportions of the stories. Each story is in it once at most, and no weight is below one.
type Mix []Share

// DefaultMix has mostly completed orders.
const DefaultMix = "happy=70,declined=10,out-of-stock=10,undeliverable=5,cancelled=5"

const maxWeight = 1000

// ParseMix parses a mix such as DefaultMix. It accepts out_of_stock, the reason of such orders, for out-of-stock.
func ParseMix(text string) (Mix, error) {
	var mix Mix
	for part := range strings.SplitSeq(text, ",") {
		name, weight, found := strings.Cut(strings.TrimSpace(part), "=")
		if !found {
			return nil, fmt.Errorf("%q is not a share such as happy=70", part)
		}
		name = strings.ReplaceAll(name, "_", "-")
		if findStory(name) == nil {
			return nil, fmt.Errorf("unknown story %q; the stories are %s", name, strings.Join(Names(), ", "))
		}
		if slices.ContainsFunc(mix, func(s Share) bool { return s.Story == name }) {
			return nil, fmt.Errorf("%s occurs twice", name)
		}
		n, err := strconv.Atoi(weight)
		if err != nil || n < 1 || n > maxWeight {
			return nil, fmt.Errorf("%s=%s: a share is a whole number from 1 to %d; leave out a story that should not occur", name, weight, maxWeight)
		}
		mix = append(mix, Share{name, n})
	}
	return mix, nil
}

// String returns the mix in the format of ParseMix.
func (m Mix) String() string {
	var parts []string
	for _, s := range m {
		parts = append(parts, fmt.Sprintf("%s=%d", s.Story, s.Weight))
	}
	return strings.Join(parts, ",")
}

// sequence returns a function that returns the story of one order after the other. Each story is spread as evenly as its
// share permits, and every run of the same mix has the same sequence.
func (m Mix) sequence() func() *story {
	total := 0
	credit := make([]int, len(m))
	for _, s := range m {
		total += s.Weight
	}
	return func() *story {
		next := 0
		for i := range m {
			if credit[i] += m[i].Weight; credit[i] > credit[next] {
				next = i
			}
		}
		credit[next] -= total
		return findStory(m[next].Story)
	}
}
