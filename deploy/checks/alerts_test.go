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

// runbookFile returns the file name of an alert's runbook: service-down.md for ServiceDown.
func runbookFile(alert string) string {
	return strings.ToLower(regexp.MustCompile(`(\w)([A-Z])`).ReplaceAllString(alert, "$1-$2")) + ".md"
}

func TestAlerts_HaveLabelsAndRunbook(t *testing.T) {
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
		if got, want := r.Annotations["runbook_url"], runbooks+runbookFile(r.Alert); got != want {
			t.Errorf("%s: runbook_url is %q, want %q", r.Alert, got, want)
		}
	}
}

// Every alert has a runbook, every runbook has an alert, and all runbooks have the same headings.
func TestRunbooks_MatchAlerts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts := alertNames(t)
	var want, got []string
	for _, alert := range alerts {
		want = append(want, runbookFile(alert))
	}
	for _, file := range files {
		got = append(got, filepath.Base(file))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runbooks: -want +got\n%s", diff)
	}
	headings := []string{"## Impact", "## Diagnose", "## Fix", "## Verify", "## Related alerts"}
	for _, alert := range alerts {
		text := read(t, "../../docs/runbooks/"+runbookFile(alert))
		if !strings.HasPrefix(text, "# "+alert+"\n") {
			t.Errorf("%s does not begin with the name of its alert", runbookFile(alert))
		}
		if diff := cmp.Diff(headings, regexp.MustCompile(`(?m)^## .*$`).FindAllString(text, -1)); diff != "" {
			t.Errorf("%s: -want +got\n%s", runbookFile(alert), diff)
		}
		_, related, _ := strings.Cut(text, "## Related alerts")
		rows := regexp.MustCompile(`(?m)^\| ([A-Z]\w+) \| \d+[sm] \|`).FindAllStringSubmatch(related, -1)
		if len(rows) == 0 {
			t.Errorf("%s lists no related alert", runbookFile(alert))
		}
		for _, row := range rows {
			if row[1] == alert || !slices.Contains(alerts, row[1]) {
				t.Errorf("%s lists %s, which is not another alert", runbookFile(alert), row[1])
			}
		}
	}
}

// The table in docs/observability.md lists each alert once, in the order of the rules.
func TestAlertTable_ListsEveryAlert(t *testing.T) {
	t.Parallel()
	text := read(t, "../../docs/observability.md")
	var want []string
	for _, r := range rules(t) {
		name := strings.TrimSuffix(runbookFile(r.Alert), ".md")
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
