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
type documentedMetric struct{ name, kind, from string }

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

// scrape answers what is served at /metrics: types by name, of those that are ours to document.
func scrape(t *testing.T, url string) map[string]string {
	t.Helper()
	a := shop.must(t, http.StatusOK, http.MethodGet, url+"/metrics", nil)
	types := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) (\w+)$`).FindAllSubmatch(a.body, -1) {
		name := string(m[1])
		ours := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
		if slices.ContainsFunc([]string{"messaging_", "events_", "orders_", "quadrille_"}, ours) {
			types[name] = string(m[2])
		}
	}
	return types
}

// Who is said to serve a metric does so, and nobody serves one that the documentation does not have.
func TestMetrics_AreThoseOfTheDocumentation(t *testing.T) {
	t.Parallel()
	sku := shop.stock(t, "tiara", 1)
	shop.await(t, shop.place(t, orderOf(sku, 1)), "completed")

	servers := map[string]string{
		"order": shop.Order, "inventory": shop.Inventory, "payment": shop.Payment, "shipping": shop.Shipping, "ledger": watchingLedger(t),
	}
	documented := documentedMetrics(t)
	for server, url := range servers {
		served := scrape(t, url)
		for _, m := range documented {
			if m.from != server && (m.from != "services" || server == "ledger") {
				continue
			}
			if served[m.name] != m.kind {
				t.Errorf("%s does not serve %s as a %s, but as %q", server, m.name, m.kind, served[m.name])
			}
		}
		for name := range served {
			if !slices.ContainsFunc(documented, func(m documentedMetric) bool { return m.name == name }) {
				t.Errorf("%s serves %s, which docs/observability.md does not have", server, name)
			}
		}
	}
}

// watchingLedger starts a ledger that checks for ever, until the end of the test, and answers where. It has checked once.
func watchingLedger(t *testing.T) (url string) {
	t.Helper()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	cmd := exec.CommandContext(t.Context(), shop.Quadrille, "ledger", "--every", "1s", "--listen", address)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = shop.ledgerEnvironment()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Wait(); t.Failed() {
			t.Logf("the ledger ended with %v:\n%s", err, log.Bytes())
		}
	})
	url = "http://" + address
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := awaitOK(ctx, url+"/livez"); err != nil {
		t.Fatal(err)
	}
	shop.eventually(t, "the ledger has checked", func() bool {
		return scrape(t, url)["quadrille_reconcile_last_check_timestamp_seconds"] != ""
	})
	return url
}
