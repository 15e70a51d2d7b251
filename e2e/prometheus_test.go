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

// observers are the services of the compose profile observability that alerts need, with a copy of the alert rules.
type observers struct {
	rules    string // folder that is mounted instead of deploy/prometheus
	override string // compose file
	began    time.Time
	expected map[string]bool // alerts that may fire
}

const prometheusURL = "http://127.0.0.1:9090"

// observe starts Prometheus, with the alert rules of deploy/, and the reconciliation, until the end of the test. It blocks
// until Prometheus has scraped all services and the reconciliation has checked the stack.
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
	// Prometheus runs as another user.
	for _, folder := range []string{filepath.Dir(dir), dir, o.rules} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	override := fmt.Sprintf("services:\n  prometheus:\n    volumes: [%q]\n", o.rules+":/etc/prometheus:ro")
	if err := os.WriteFile(o.override, []byte(override), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.compose(t, "rm", "--stop", "--force", "--volumes", "prometheus", "reconcile") })
	o.compose(t, "up", "--detach", "--no-build", "--no-deps", "--wait", "prometheus", "reconcile")
	stack.eventually(t, "Prometheus is ready", func() bool { // its port is open before it listens
		resp, err := http.Get(prometheusURL + "/-/ready")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, func() string { return o.compose(t, "logs", "--tail=20", "prometheus") })
	stack.eventually(t, "all services are scraped and checked", func() bool {
		return len(o.query(t, "up == 1")) == 6 && len(o.query(t, "quadrille_reconcile_not_checked == 0")) == 1
	}, func() string { return fmt.Sprint(o.query(t, "up"), o.query(t, "quadrille_reconcile_not_checked")) })
	return o
}

// compose runs docker compose with the profile and returns its output.
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

// shortenAlerts replaces texts of alert rules, such as their durations, and reloads the rules.
func (o *observers) shortenAlerts(t *testing.T, changes map[string][2]string) {
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
			t.Fatalf("no rule of the alert %s contains %q", name, change[0])
		}
		rules[i] = strings.ReplaceAll(rules[i], change[0], change[1])
	}
	before := o.loaded(t)
	if err := os.WriteFile(path, []byte(strings.Join(rules, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	o.compose(t, "kill", "--signal", "HUP", "prometheus")
	stack.eventually(t, "the rules are reloaded", func() bool { return o.loaded(t) != before })
}

// loaded returns the rules that Prometheus uses.
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

// ask calls the HTTP API of Prometheus.
func (o *observers) ask(t *testing.T, path string, parameters url.Values, into any) {
	t.Helper()
	r := stack.must(t, http.StatusOK, http.MethodGet, prometheusURL+"/api/v1/"+path+"?"+parameters.Encode(), nil)
	r.decode(t, &struct{ Data any }{into})
}

type sample struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

// query returns the present value of an expression.
func (o *observers) query(t *testing.T, expr string) []sample {
	t.Helper()
	var data struct{ Result []sample }
	o.ask(t, "query", url.Values{"query": {expr}}, &data)
	return data.Result
}

// hasData reports whether an expression had a value at any time since the start of the test.
func (o *observers) hasData(t *testing.T, expr string) bool {
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

// String returns the alert's name and its distinguishing labels.
func (a alert) String() string {
	s := a.Labels["alertname"]
	for _, label := range []string{"service", "queue", "waiting_on", "kind"} {
		if v := a.Labels[label]; v != "" {
			s += " " + v
		}
	}
	return s
}

// firing returns the alerts that fire, and fails the test if one of them is not expected.
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
			t.Errorf("%s fires, which no runbook names: %s", a, a.Annotations["summary"])
		}
		for _, text := range a.Annotations {
			if strings.Contains(text, "<error") || strings.Contains(text, "<no value>") {
				t.Errorf("%s has the annotation %q", a, text)
			}
		}
	}
	slices.Sort(firing)
	return firing
}

// expect permits an alert to fire, and the related alerts that its runbook names.
func (o *observers) expect(t *testing.T, name string) {
	t.Helper()
	o.expected[name] = true
	for _, c := range relatedAlerts(t, name) {
		o.expected[c.alert] = true
	}
}

// await blocks until the alert fires.
func (o *observers) await(t *testing.T, alert string) {
	t.Helper()
	var firing []string
	since := time.Now()
	stack.eventually(t, alert+" fires", func() bool {
		firing = o.firing(t)
		return slices.Contains(firing, alert)
	}, func() string { return fmt.Sprint(firing) })
	t.Logf("%s fires after %v", alert, time.Since(since).Round(time.Second))
}

// awaitEnd blocks until the alert does not fire any more.
func (o *observers) awaitEnd(t *testing.T, alert string) {
	t.Helper()
	since := time.Now()
	stack.eventually(t, alert+" ends", func() bool { return !slices.Contains(o.firing(t), alert) })
	t.Logf("%s ends after %v", alert, time.Since(since).Round(time.Second))
}

// awaitCalm blocks until no alert is firing or pending.
func (o *observers) awaitCalm(t *testing.T) {
	t.Helper()
	var data struct{ Alerts []alert }
	since := time.Now()
	stack.eventually(t, "no alert is firing or pending", func() bool {
		o.firing(t)
		o.ask(t, "alerts", nil, &data)
		return len(data.Alerts) == 0
	}, func() string { return fmt.Sprint(data.Alerts) })
	t.Logf("no alert is firing or pending after %v", time.Since(since).Round(time.Second))
	clear(o.expected)
}

// relatedAlert is an alert that may fire together with another one.
type relatedAlert struct {
	alert   string
	after   time.Duration
	service string // that is down, or "any"
}

// relatedAlerts returns the alerts that the runbook of an alert names.
func relatedAlerts(t *testing.T, name string) (all []relatedAlert) {
	t.Helper()
	file := strings.ToLower(regexp.MustCompile(`(\w)([A-Z])`).ReplaceAllString(name, "$1-$2")) + ".md"
	text, err := os.ReadFile(filepath.Join("..", "docs", "runbooks", file))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Related alerts")
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z]\w+) \| (\d+[sm]) \| (\w+) `).FindAllStringSubmatch(table, -1) {
		after, err := time.ParseDuration(row[2])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, relatedAlert{row[1], after, row[3]})
	}
	if len(all) == 0 {
		t.Fatalf("%s names no related alerts", file)
	}
	return all
}
