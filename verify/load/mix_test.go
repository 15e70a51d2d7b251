package load

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMix(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Mix{
		"happy=1":                     {{"happy", 1}},
		"declined=10, out_of_stock=1": {{"declined", 10}, {"out-of-stock", 1}},
		"cancelled=1,undeliverable=2,out-of-stock=33": {{"cancelled", 1}, {"undeliverable", 2}, {"out-of-stock", 33}},
	} {
		got, err := ParseMix(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", text, err, diff)
		}
	}
	for text, want := range map[string]string{
		"":                         "is not a share",
		"happy":                    "is not a share",
		"happy=0":                  "from 1 to 1000",
		"happy=-1":                 "from 1 to 1000",
		"happy=1001":               "from 1 to 1000",
		"happy=half":               "from 1 to 1000",
		"sad=1":                    "the stories are happy, declined",
		"happy=1,":                 "is not a share",
		"happy=1,happy=2":          "twice",
		"out_of_stock=1,sad=1":     "sad",
		"out-of-stock=1,happy=1=1": "from 1 to 1000",
	} {
		if mix, err := ParseMix(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q must be rejected with %q: %v, %v", text, want, mix, err)
		}
	}
}

func TestMix_Sequence(t *testing.T) {
	t.Parallel()
	mix, err := ParseMix(DefaultMix)
	if err != nil {
		t.Fatal(err)
	}
	next := mix.sequence()
	for range 3 { // each hundred is the same
		counts := map[string]int{}
		for i := range 100 {
			counts[next().name]++
			if i == 49 && counts["happy"] != 35 {
				t.Errorf("%d of the first fifty are happy", counts["happy"])
			}
		}
		want := map[string]int{"happy": 70, "declined": 10, "out-of-stock": 10, "undeliverable": 5, "cancelled": 5}
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Error(diff)
		}
	}
}
