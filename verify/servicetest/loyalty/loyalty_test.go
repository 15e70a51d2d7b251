package loyalty_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
	"github.com/quadrille-dev/quadrille/verify/servicetest/loyalty"
)

func TestMain(m *testing.M) { servicetest.Main(m) }

func TestRun(t *testing.T) {
	t.Parallel()
	p := servicetest.Serve(t, chassis.Defaults(""), loyalty.Run)
	p.CallOK(t, http.MethodGet, "/readyz", "", nil)
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	servicetest.CheckOpenAPI(t, (&loyalty.Service{}).Definition())
}

// TestContributing compares the files with those that CONTRIBUTING.md shows, where the service is in services.
func TestContributing(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, name := range []string{"run.go", "subscriptions.go", "cmd/loyalty/main.go", "migrations/0001_loyalty.sql"} {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(file), "\n")
		shown := "\n" + strings.ReplaceAll(string(file), "verify/servicetest/loyalty", "services/loyalty") + "```\n"
		if !strings.Contains(string(page), shown) {
			t.Errorf("CONTRIBUTING.md shows another %s", name)
		}
	}
	if lines > 65 {
		t.Errorf("the files have %d lines, want about sixty", lines)
	}
}
