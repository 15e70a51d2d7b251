package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/verify/reconcile"
)

var update = flag.Bool("update", false, "write the golden files")

func summaries() map[string]Summary {
	quick, slow := Latency{1050, 0.0041, 0.0123, 0.0987, 0.25}, Latency{1050, 4.31, 4.52, 12.345, 61.5}
	well := Summary{
		Requested: Requested{PerSecond: 50, Seconds: 30, Orders: 1500, Mix: DefaultMix, InFlight: 2000},
		Offered:   Flow{1500, 30, 50}, Accepted: Flow{1500, 30.004, 49.99},
		Ended: EndedOrders{Flow: Flow{1500, 34.5, 43.47}, TailSeconds: 4.5, FirstThird: 4.3, LastThird: 4.4, PollInterval: 0.252, MaxPollInterval: 0.3},
		Stories: []StoryResult{
			{Story: "happy", Orders: 1050, Accepted: quick, Ended: slow, Outcomes: map[string]int{"completed": 1050}},
			{Story: "cancelled", Orders: 450, Accepted: quick, Ended: quick, Outcomes: map[string]int{"completed": 1, "cancelled: customer": 449}},
		},
		All: StoryResult{Story: "all", Orders: 1500, Accepted: quick, Ended: slow},
	}
	ill := well
	ill.StoppedEarly, ill.Dropped, ill.Abandoned, ill.Late = true, 100, 20, Late{7, 0.0312}
	ill.Offered = Flow{1300, 26, 50}
	ill.Ended.LastThird = 9.5
	ill.Errors = []Failure{{"order: connection refused", 12, "dial tcp 127.0.0.1:8081: connect: connection refused"}}
	ill.Stories = append([]StoryResult{{Story: "declined", Orders: 11, Accepted: quick, Outcomes: map[string]int{notEnded: 11}}}, ill.Stories...)
	for range 11 {
		ill.Wrong = append(ill.Wrong, Wrong{"01a1fd29-3558-7c6e-9644-84f99a2b8dde", "cancelled", []string{"cancelled: customer", "completed"}, notEnded})
	}
	ill.Wrong[0].OrderID = ""
	ill.Stock = "of load-1-1 there should be 7 on hand, and there are 8, 1 of them reserved"
	ill.ReconciliationError = "it was stopped"
	never := Summary{
		Offered: Flow{1, 1, 1}, Wrong: []Wrong{{"", "happy", []string{"completed"}, "not accepted: given up after 1m0s: 503"}},
		Stories:        []StoryResult{{Story: "happy", Orders: 1, Outcomes: map[string]int{notAccepted: 1}}},
		Reconciliation: &reconcile.Report{At: time.Date(2026, 11, 21, 7, 10, 0, 0, time.UTC), Clean: true},
	}
	return map[string]Summary{"well": well, "ill": ill, "never": never}
}

func TestText_Golden(t *testing.T) {
	t.Parallel()
	for name, s := range summaries() {
		var out bytes.Buffer
		if err := s.WriteText(&out); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("%s is\n%s", golden, &out)
		}
	}
}

func TestText_FailedOutput(t *testing.T) {
	t.Parallel()
	if err := (Summary{}).WriteText(full{}); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
}

func TestJSON_ListsAreNeverNull(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		cfg := calm(&fakeStack{})
		cfg.For = time.Second
		text, err := json.Marshal(mustRun(t, t.Context(), cfg))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		for _, list := range []string{"stories", "wrong", "errors"} {
			if _, is := got[list].([]any); !is {
				t.Errorf("%s is %v", list, got[list])
			}
		}
	})
}

func TestProgress(t *testing.T) {
	t.Parallel()
	running := Progress{Since: 12 * time.Second, Arrived: 600, Accepted: 598, Ended: 371, Open: 227, Dropped: 2, Failed: 1}
	var out bytes.Buffer
	tell, wipe := NewProgress(&out, 80, false)
	tell(Progress{Phase: "Creating products."})
	tell(running)
	wipe()
	want := "Creating products.\n 12.0 s  600 due · 598 accepted · 371 ended · 227 open · 2 not sent · 1 failed request\n"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	tell, wipe = NewProgress(&out, 40, true)
	tell(running)
	tell(running)
	wipe()
	if got := out.String(); strings.Contains(got, "\n") || strings.Count(got, "600 due") != 2 || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("%q", got)
	}
	for line := range strings.SplitSeq(out.String(), "\r\x1b[K") {
		if len([]rune(line)) > 39 {
			t.Errorf("%q is too wide", line)
		}
	}
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
