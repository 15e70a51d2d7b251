package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// documentedMetric is a row of the table in docs/observability.md.
type documentedMetric struct{ name, kind, server string }

func documentedMetrics(t *testing.T) (all []documentedMetric) {
	t.Helper()
	text, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-zA-Z_]+)` \\| (counter|gauge|histogram) \\|.* \\| ([\\w ]+) \\|$")
	for _, r := range row.FindAllStringSubmatch(string(text), -1) {
		all = append(all, documentedMetric{r[1], r[2], r[3]})
	}
	if len(all) < 20 {
		t.Fatalf("the table of metrics has %d rows", len(all))
	}
	return all
}

// scrape returns the types of the metrics at /metrics by name, without those of Go and of processes.
func scrape(t *testing.T, url string) map[string]string {
	t.Helper()
	r := stack.must(t, http.StatusOK, http.MethodGet, url+"/metrics", nil)
	types := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) (\w+)$`).FindAllSubmatch(r.body, -1) {
		name := string(m[1])
		documented := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
		if slices.ContainsFunc([]string{"messaging_", "events_", "orders_", "quadrille_"}, documented) {
			types[name] = string(m[2])
		}
	}
	return types
}

// Each service serves the metrics that docs/observability.md lists for it, and no others.
func TestMetrics_MatchDocumentation(t *testing.T) {
	t.Parallel()
	sku := stack.addProduct(t, "tiara", 1)
	stack.await(t, stack.place(t, newOrder(sku, 1)), "completed")

	servers := map[string]string{
		"order": stack.Order, "inventory": stack.Inventory, "payment": stack.Payment, "shipping": stack.Shipping,
		"reconcile": startReconciliation(t),
	}
	documented := documentedMetrics(t)
	for server, url := range servers {
		served := scrape(t, url)
		for _, m := range documented {
			if m.server != server && (m.server != "services" || server == "reconcile") {
				continue
			}
			if served[m.name] != m.kind {
				t.Errorf("%s should serve %s as a %s, not as %q", server, m.name, m.kind, served[m.name])
			}
		}
		for name := range served {
			if !slices.ContainsFunc(documented, func(m documentedMetric) bool { return m.name == name }) {
				t.Errorf("%s serves %s, which docs/observability.md does not list", server, name)
			}
		}
	}
}

// startReconciliation runs quadrille reconcile as a service until the end of the test. It blocks until the first check is
// done, and returns the URL.
func startReconciliation(t *testing.T) (url string) {
	t.Helper()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	cmd := exec.CommandContext(t.Context(), stack.Quadrille, "reconcile", "--every", "1s", "--listen", address)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = stack.reconcileEnv()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Wait(); t.Failed() {
			t.Logf("quadrille reconcile ended with %v:\n%s", err, log.Bytes())
		}
	})
	url = "http://" + address
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	if err := awaitOK(ctx, url+"/livez"); err != nil {
		t.Fatal(err)
	}
	stack.eventually(t, "the first check is done", func() bool {
		return scrape(t, url)["quadrille_reconcile_last_check_timestamp_seconds"] != ""
	})
	return url
}
