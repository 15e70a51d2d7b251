package checks

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/rulefmt"
)

const runbooks = "https://github.com/quadrille-dev/quadrille/blob/main/docs/runbooks/"

func rules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile("../prometheus/alerts.yml", false)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func ruleExpressions(t *testing.T) (all []expression) {
	t.Helper()
	for _, r := range rules(t) {
		all = append(all, expression{r.Alert, r.Expr})
	}
	return all
}

func alertNames(t *testing.T) (names []string) {
	t.Helper()
	for _, r := range rules(t) {
		names = append(names, r.Alert)
	}
	return names
}

// fileOf is the runbook of an alert: ServiceDown has service-down.md.
func fileOf(alert string) string {
	return strings.ToLower(regexp.MustCompile(`(\w)([A-Z])`).ReplaceAllString(alert, "$1-$2")) + ".md"
}

func TestAlerts_SayHowBadWhatAndWhatToDo(t *testing.T) {
	t.Parallel()
	for _, r := range rules(t) {
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		for _, annotation := range []string{"summary", "description"} {
			if r.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", r.Alert, annotation)
			}
		}
		if got, want := r.Annotations["runbook_url"], runbooks+fileOf(r.Alert); got != want {
			t.Errorf("%s: runbook_url is %q, want %q", r.Alert, got, want)
		}
	}
}

// Every alert has a runbook, every runbook an alert, and all have the same shape.
func TestRunbooks_AreOfOneShape(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts := alertNames(t)
	var want, got []string
	for _, alert := range alerts {
		want = append(want, fileOf(alert))
	}
	for _, file := range files {
		got = append(got, filepath.Base(file))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runbooks: -want +got\n%s", diff)
	}
	shape := []string{"## Who is hurt", "## Look", "## Mend", "## Is it over?", "## What else fires"}
	for _, alert := range alerts {
		text := read(t, "../../docs/runbooks/"+fileOf(alert))
		if !strings.HasPrefix(text, "# "+alert+"\n") {
			t.Errorf("%s does not begin with its alert", fileOf(alert))
		}
		if diff := cmp.Diff(shape, regexp.MustCompile(`(?m)^## .*$`).FindAllString(text, -1)); diff != "" {
			t.Errorf("%s: -want +got\n%s", fileOf(alert), diff)
		}
		_, companions, _ := strings.Cut(text, "## What else fires")
		rows := regexp.MustCompile(`(?m)^\| ([A-Z]\w+) \| \d+[sm] \|`).FindAllStringSubmatch(companions, -1)
		if len(rows) == 0 {
			t.Errorf("%s names no other alert", fileOf(alert))
		}
		for _, row := range rows {
			if row[1] == alert || !slices.Contains(alerts, row[1]) {
				t.Errorf("%s says that %s fires with it", fileOf(alert), row[1])
			}
		}
	}
}

// The table of docs/observability.md has each alert once, in the order of the rules.
func TestAlertTable_HasAllAlerts(t *testing.T) {
	t.Parallel()
	text := read(t, "../../docs/observability.md")
	var want []string
	for _, r := range rules(t) {
		name := strings.TrimSuffix(fileOf(r.Alert), ".md")
		want = append(want, fmt.Sprintf("| %s | %s | … | [%s](runbooks/%s.md) |", r.Alert, r.Labels["severity"], name, name))
	}
	var got []string
	for _, row := range regexp.MustCompile(`(?m)^(\| [A-Z]\w+ \| \w+ \| ).+?( \| \[.*)$`).FindAllStringSubmatch(text, -1) {
		got = append(got, row[1]+"…"+row[2])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
