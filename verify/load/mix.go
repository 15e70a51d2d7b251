package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Share is how many of the customers live a story, in relation to the other shares.
type Share struct {
	Story  string `json:"story"`
	Weight int    `json:"weight"`
}

// Mix is what the customers do. No story is in it twice, and no weight is below one.
type Mix []Share

// DefaultMix is that of a shop that has mostly pleased customers.
const DefaultMix = "happy=70,declined=10,out-of-stock=10,undeliverable=5,cancelled=5"

const maxWeight = 1000

// ParseMix reads a mix such as DefaultMix. Out_of_stock, as orders call it, is out-of-stock.
func ParseMix(text string) (Mix, error) {
	var mix Mix
	for part := range strings.SplitSeq(text, ",") {
		name, weight, found := strings.Cut(strings.TrimSpace(part), "=")
		if !found {
			return nil, fmt.Errorf("%q is not a share such as happy=70", part)
		}
		name = strings.ReplaceAll(name, "_", "-")
		if storyNamed(name) == nil {
			return nil, fmt.Errorf("no story is called %q; there are %s", name, strings.Join(Names(), ", "))
		}
		if slices.ContainsFunc(mix, func(s Share) bool { return s.Story == name }) {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		n, err := strconv.Atoi(weight)
		if err != nil || n < 1 || n > maxWeight {
			return nil, fmt.Errorf("%s=%s: a share is a whole number from 1 to %d; leave out what should not happen", name, weight, maxWeight)
		}
		mix = append(mix, Share{name, n})
	}
	return mix, nil
}

// String is the mix as ParseMix reads it.
func (m Mix) String() string {
	var parts []string
	for _, s := range m {
		parts = append(parts, fmt.Sprintf("%s=%d", s.Story, s.Weight))
	}
	return strings.Join(parts, ",")
}

// deal answers the stories of one customer after the other: each story as evenly spread as its share allows, so that
// every run of the same mix is the same.
func (m Mix) deal() func() *story {
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
		return storyNamed(m[next].Story)
	}
}
