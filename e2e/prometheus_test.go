package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// observers are what the alerts need of the compose profile observability, with a folder of rules of their own.
type observers struct {
	rules    string // folder, mounted in the place of deploy/prometheus
	override string // compose file
	began    time.Time
	expected map[string]bool // alerts that may fire
}

const prometheusURL = "http://127.0.0.1:9090"

// observe starts Prometheus with the shipped rules, and the ledger beside it, until the end of the test. It returns when
// both know the shop.
func observe(t *testing.T) *observers {
	t.Helper()
	dir := t.TempDir()
	o := &observers{
		rules: filepath.Join(dir, "rules"), override: filepath.Join(dir, "compose.yml"),
		began: time.Now(), expected: map[string]bool{},
	}
	if err := os.CopyFS(o.rules, os.DirFS("../deploy/prometheus")); err != nil {
		t.Fatal(err)
	}
	// Prometheus runs as somebody else.
	for _, folder := range []string{filepath.Dir(dir), dir, o.rules} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	override := fmt.Sprintf("services:\n  prometheus:\n    volumes: [%q]\n", o.rules+":/etc/prometheus:ro")
	if err := os.WriteFile(o.override, []byte(override), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.compose(t, "rm", "--stop", "--force", "--volumes", "prometheus", "ledger") })
	o.compose(t, "up", "--detach", "--no-build", "--no-deps", "--wait", "prometheus", "ledger")
	shop.eventually(t, "everybody has been asked", func() bool {
		return len(o.query(t, "up == 1")) == 6 && len(o.query(t, "quadrille_reconcile_not_checked == 0")) == 1
	}, func() string { return fmt.Sprint(o.query(t, "up"), o.query(t, "quadrille_reconcile_not_checked")) })
	return o
}

// compose runs docker compose with the profile and answers what it printed.
func (o *observers) compose(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("docker", append([]string{
		"compose", "--project-directory", "..", "--file", "../docker-compose.yml",
		"--file", o.override, "--profile", "observability",
	}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("docker compose %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// hurry makes alerts less patient than they are shipped: in a copy of the rules it replaces one text by another.
func (o *observers) hurry(t *testing.T, changes map[string][2]string) {
	t.Helper()
	path := filepath.Join(o.rules, "alerts.yml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rules := strings.SplitAfter(string(text), "- alert: ")
	for name, change := range changes {
		i := slices.IndexFunc(rules, func(rule string) bool { return strings.HasPrefix(rule, name+"\n") })
		if i < 0 || !strings.Contains(rules[i], change[0]) {
			t.Fatalf("there is no alert %s with %q", name, change[0])
		}
		rules[i] = strings.ReplaceAll(rules[i], change[0], change[1])
	}
	before := o.loaded(t)
	if err := os.WriteFile(path, []byte(strings.Join(rules, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	o.compose(t, "kill", "--signal", "HUP", "prometheus")
	shop.eventually(t, "the rules are read again", func() bool { return o.loaded(t) != before })
}

// loaded is what rules Prometheus has.
func (o *observers) loaded(t *testing.T) string {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct {
				Name, Query string
				Duration    float64
			}
		}
	}
	o.ask(t, "rules", nil, &data)
	return fmt.Sprint(data.Groups)
}

// ask calls Prometheus' HTTP API.
func (o *observers) ask(t *testing.T, path string, parameters url.Values, into any) {
	t.Helper()
	a := shop.must(t, http.StatusOK, http.MethodGet, prometheusURL+"/api/v1/"+path+"?"+parameters.Encode(), nil)
	a.decode(t, &struct{ Data any }{into})
}

type sample struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

// query answers an expression's value now.
func (o *observers) query(t *testing.T, expr string) []sample {
	t.Helper()
	var data struct{ Result []sample }
	o.ask(t, "query", url.Values{"query": {expr}}, &data)
	return data.Result
}

// drawn says whether an expression had a value at any moment since the beginning.
func (o *observers) drawn(t *testing.T, expr string) bool {
	t.Helper()
	var data struct{ Result []sample }
	o.ask(t, "query_range", url.Values{
		"query": {expr}, "step": {"5"},
		"start": {fmt.Sprint(o.began.Unix())}, "end": {fmt.Sprint(time.Now().Unix())},
	}, &data)
	for _, s := range data.Result {
		if slices.ContainsFunc(s.Values, func(v [2]any) bool { return v[1] != "NaN" }) {
			return true
		}
	}
	return false
}

type alert struct {
	State               string
	Labels, Annotations map[string]string
}

// String is the alert's name and what it is about.
func (a alert) String() string {
	s := a.Labels["alertname"]
	for _, label := range []string{"service", "queue", "waiting_on", "kind"} {
		if v := a.Labels[label]; v != "" {
			s += " " + v
		}
	}
	return s
}

// firing lists what fires, and complains of what is not expected.
func (o *observers) firing(t *testing.T) (firing []string) {
	t.Helper()
	var data struct{ Alerts []alert }
	o.ask(t, "alerts", nil, &data)
	for _, a := range data.Alerts {
		if a.State != "firing" {
			continue
		}
		firing = append(firing, a.String())
		if name := a.Labels["alertname"]; !o.expected[name] {
			o.expected[name] = true // once is enough
			t.Errorf("%s fires, which no runbook has led to expect: %s", a, a.Annotations["summary"])
		}
		for _, text := range a.Annotations {
			if strings.Contains(text, "<error") || strings.Contains(text, "<no value>") {
				t.Errorf("%s says %q", a, text)
			}
		}
	}
	slices.Sort(firing)
	return firing
}

// cause lets an alert fire, and what its runbook says may fire with it.
func (o *observers) cause(t *testing.T, name string) {
	t.Helper()
	o.expected[name] = true
	for _, c := range companions(t, name) {
		o.expected[c.alert] = true
	}
}

// await blocks until this alert fires.
func (o *observers) await(t *testing.T, what string) {
	t.Helper()
	var firing []string
	since := time.Now()
	shop.eventually(t, what+" fires", func() bool {
		firing = o.firing(t)
		return slices.Contains(firing, what)
	}, func() string { return fmt.Sprint(firing) })
	t.Logf("%s fires, after %v", what, time.Since(since).Round(time.Second))
}

// awaitEnd blocks until this alert does not fire any more.
func (o *observers) awaitEnd(t *testing.T, what string) {
	t.Helper()
	since := time.Now()
	shop.eventually(t, what+" ends", func() bool { return !slices.Contains(o.firing(t), what) })
	t.Logf("%s ends, after %v", what, time.Since(since).Round(time.Second))
}

// awaitCalm blocks until nothing fires and nothing is about to.
func (o *observers) awaitCalm(t *testing.T) {
	t.Helper()
	var data struct{ Alerts []alert }
	since := time.Now()
	shop.eventually(t, "nothing fires", func() bool {
		o.firing(t)
		o.ask(t, "alerts", nil, &data)
		return len(data.Alerts) == 0
	}, func() string { return fmt.Sprint(data.Alerts) })
	t.Logf("nothing fires, after %v", time.Since(since).Round(time.Second))
	clear(o.expected)
}

// companion is an alert that may fire with another one, as its runbook says.
type companion struct {
	alert string
	after time.Duration
	of    string // which service must be down; "any"
}

func companions(t *testing.T, name string) (all []companion) {
	t.Helper()
	file := strings.ToLower(regexp.MustCompile(`(\w)([A-Z])`).ReplaceAllString(name, "$1-$2")) + ".md"
	text, err := os.ReadFile(filepath.Join("..", "docs", "runbooks", file))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## What else fires")
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z]\w+) \| (\d+[sm]) \| (\w+) `).FindAllStringSubmatch(table, -1) {
		after, err := time.ParseDuration(row[2])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, companion{row[1], after, row[3]})
	}
	if len(all) == 0 {
		t.Fatalf("%s names no other alert", file)
	}
	return all
}
