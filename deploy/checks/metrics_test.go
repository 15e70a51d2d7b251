package checks

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// metric is a row of the metrics table in docs/observability.md.
type metric struct {
	kind   string
	labels []string
}

// documentedMetrics returns the metrics table by metric name.
func documentedMetrics(t *testing.T) map[string]metric {
	t.Helper()
	text, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics := map[string]metric{}
	row := regexp.MustCompile("(?m)^\\| `([a-zA-Z_]+)` \\| (counter|gauge|histogram) \\|(?: s)? \\|(.*?)\\| .+ \\| .+ \\|$")
	for _, r := range row.FindAllStringSubmatch(string(text), -1) {
		m := metric{kind: r[2]}
		for _, l := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(r[3], -1) {
			m.labels = append(m.labels, l[1])
		}
		metrics[r[1]] = m
	}
	if len(metrics) < 20 {
		t.Fatalf("the metrics table has only %d rows", len(metrics))
	}
	return metrics
}

// expression is a query of a rule or of a panel.
type expression struct{ where, text string }

// Rules and dashboards query documented metrics by documented labels only, and every documented metric is used.
func TestExpressions_UseDocumentedMetrics(t *testing.T) {
	t.Parallel()
	metrics := documentedMetrics(t)
	expressions := append(ruleExpressions(t), panelExpressions(t)...)
	if len(expressions) < 30 {
		t.Fatalf("found only %d expressions", len(expressions))
	}
	used := map[string]bool{}
	for _, e := range expressions {
		parsed, err := parser.ParseExpr(e.text)
		if err != nil {
			t.Errorf("%s: %s: %v", e.where, e.text, err)
			continue
		}
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			selector, ok := node.(*parser.VectorSelector)
			if !ok {
				return nil
			}
			name, m, ok := find(metrics, selector.Name)
			if !ok {
				t.Errorf("%s: %q is not in docs/observability.md", e.where, selector.Name)
				return nil
			}
			used[name] = true
			for _, l := range selector.LabelMatchers {
				if l.Name != labels.MetricName && l.Name != "job" && !slices.Contains(m.labels, l.Name) {
					t.Errorf("%s: %s has no label %q", e.where, name, l.Name)
				}
			}
			return nil
		})
	}
	for name := range metrics {
		if !used[name] {
			t.Errorf("no dashboard and no rule uses %s", name)
		}
	}
}

// find returns the metric of a series. A histogram has three series, with suffixes.
func find(metrics map[string]metric, series string) (string, metric, bool) {
	if m, ok := metrics[series]; ok {
		return series, m, m.kind != "histogram"
	}
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if name, ok := strings.CutSuffix(series, suffix); ok && metrics[name].kind == "histogram" {
			return name, metrics[name], true
		}
	}
	return "", metric{}, false
}
