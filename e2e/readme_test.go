package e2e

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// The first curl of the README does what the README says: it answers as printed there, and the order is completed.
func TestReadme_FirstOrder(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```sh\ncurl -s localhost:8081(\\S+).*?-d '(.*?)'\n```\n\n```json\n(.*?)\n```").FindSubmatch(readme)
	if found == nil {
		t.Fatal("the README has no such curl any more")
	}
	var body any
	if err := json.Unmarshal(found[2], &body); err != nil {
		t.Fatalf("the README's order: %v", err)
	}
	var a answer
	shop.eventually(t, "the seeded products are known", func() bool {
		a, err = shop.do(http.MethodPost, shop.Order+string(found[1]), body, "Idempotency-Key", uuid.NewString())
		return err == nil && a.status == http.StatusAccepted
	})
	if got, want := timeless(string(a.body)), timeless(string(found[3])); got != want {
		t.Errorf("the README promises\n%s\nbut it is\n%s", want, got)
	}
	var o orderView
	a.decode(t, &o)
	shop.await(t, o.ID, "completed")

	for _, test := range regexp.MustCompile("`(Test\\w+)[`/…]").FindAllStringSubmatch(string(readme), -1) {
		if !testExists(t, test[1]) {
			t.Errorf("the README names %s, which does not exist", test[1])
		}
	}
}

// What the README shows of the demo is what it prints, row by row, except for the times, and for the order of what two
// services do at once.
func TestReadme_Demo(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```console\n(  \\+0.000s.*?)\n```").FindSubmatch(readme)
	if found == nil {
		t.Fatal("the README shows nothing of the demo any more")
	}
	cmd := exec.CommandContext(t.Context(), shop.Quadrille, "demo", "--story", "undeliverable", "--wait", patience.String(),
		"--against", "http://127.0.0.1", "--order-url", shop.Order, "--inventory-url", shop.Inventory, "--payment-url", shop.Payment,
		"--shipping-url", shop.Shipping, "--processor-url", shop.Processor, "--carrier-url", shop.Carrier)
	cmd.Env = append(os.Environ(), "OPS_TOKEN="+shop.Token, "RETRY_DELAYS="+shop.RetryLadder, "COLUMNS=100")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	printed := regexp.MustCompile(`(?s)  \+0\.000s.*on\s+the\s+shelf`).Find(out) // the moral is not for the README
	want, got := demoRows(found[1]), demoRows(printed)
	// An order that hears of the failure before it hears of the payment, which comes from another service, is not confirmed.
	confirmed := func(row string) bool { return strings.Contains(row, " order.confirmed ") }
	if !slices.ContainsFunc(got, confirmed) {
		want = slices.DeleteFunc(want, confirmed)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the README shows\n%s\nbut the demo prints\n%s\n\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"), out)
	}
}

// demoRows are an order's events, states and sums without their times, sorted. What goes on below a row belongs to it.
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

// timeless blanks out what differs from one order to the next.
func timeless(s string) string {
	return regexp.MustCompile(`"(id|placedAt|at)":"[^"]*"`).ReplaceAllString(strings.TrimSpace(s), `"$1":"…"`)
}

// testExists looks for a test whose name begins like this.
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
