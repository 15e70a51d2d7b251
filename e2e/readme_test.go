package e2e

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// The first curl of the README has the response that the README shows, and its order is completed.
func TestReadme_FirstOrder(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```sh\ncurl -s localhost:8081(\\S+).*?-d '(.*?)'\n```\n\n```json\n(.*?)\n```").FindSubmatch(readme)
	if found == nil {
		t.Fatal("the README has no curl with an order and its response")
	}
	var body any
	if err := json.Unmarshal(found[2], &body); err != nil {
		t.Fatalf("invalid JSON in the README: %v", err)
	}
	var r response
	stack.eventually(t, "the seeded products are known", func() bool {
		r, err = stack.do(http.MethodPost, stack.Order+string(found[1]), body, "Idempotency-Key", uuid.NewString())
		return err == nil && r.status == http.StatusAccepted
	})
	if got, want := withoutTimes(string(r.body)), withoutTimes(string(found[3])); got != want && *update {
		replaceIn(t, "../README.md", found[3], bytes.TrimSpace(r.body))
	} else if got != want {
		t.Errorf("the README shows the response\n%s\nbut it is\n%s", want, got)
	}
	var o orderView
	r.decode(t, &o)
	stack.await(t, o.ID, "completed")

	for _, test := range regexp.MustCompile("`(Test\\w+)[`/…]").FindAllStringSubmatch(string(readme), -1) {
		if !testExists(t, test[1]) {
			t.Errorf("the README names %s, but there is no such test", test[1])
		}
	}
}

// The README shows what the demo prints, except for the times, and for the order of what two services do at the same time.
func TestReadme_Demo(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```console\n(  \\+0.000s.*?)\n```").FindSubmatch(readme)
	if found == nil {
		t.Fatal("the README has no output of the demo")
	}
	cmd := stack.demo(t, "--story", "undeliverable")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	printed := regexp.MustCompile(`(?s)  \+0\.000s.*✓.*?(on\s+the\s+shelf|in\s+stock)`).Find(out) // without the takeaway
	want, got := demoRows(found[1]), demoRows(printed)
	// The order is confirmed only if it consumes the payment before the failure, which another service publishes.
	confirmed := func(row string) bool { return strings.Contains(row, " order.confirmed ") }
	if !slices.ContainsFunc(got, confirmed) {
		want = slices.DeleteFunc(want, confirmed)
	}
	if *update && !slices.Equal(got, want) {
		replaceIn(t, "../README.md", found[1], printed)
		return
	}
	if !slices.Equal(got, want) {
		t.Errorf("the README shows\n%s\nbut the demo prints\n%s\n\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"), out)
	}
}

// demoRows returns the rows of the demo's output without their times, sorted. A wrapped row is joined.
func demoRows(text []byte) (rows []string) {
	offset := regexp.MustCompile(`^\+\d+\.\d+s`)
	begins := regexp.MustCompile(`^[+→✓]`)
	for line := range strings.Lines(string(text)) {
		line = offset.ReplaceAllString(strings.TrimSpace(line), "+")
		switch {
		case line == "":
		case begins.MatchString(line) || rows == nil:
			rows = append(rows, line)
		default:
			rows[len(rows)-1] += " " + line
		}
	}
	slices.Sort(rows)
	return rows
}

// withoutTimes replaces ids and times, which differ from order to order.
func withoutTimes(s string) string {
	return regexp.MustCompile(`"(id|placedAt|at)":"[^"]*"`).ReplaceAllString(strings.TrimSpace(s), `"$1":"…"`)
}

// testExists reports whether there is a test whose name begins with name.
func testExists(t *testing.T, name string) (found bool) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || found || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		found = strings.Contains(string(source), "func "+name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
