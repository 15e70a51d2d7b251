package importrules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/quadrille-dev/quadrille"

// A case is an import of a package by a file. It breaks the named list, or none if the name is empty.
type importCase struct{ file, imported, list string }

var cases = []importCase{
	{"contracts/order.go", "github.com/google/uuid", "contracts use the standard library only"},
	{"contracts/order.go", "encoding/json", ""},
	{"contracts/order_test.go", module + "/pkg/events", "contracts tests"},
	{"contracts/order_test.go", "github.com/google/go-cmp/cmp", ""},

	{"pkg/events/outbox.go", module + "/contracts", "the library stands alone"},
	{"pkg/events/outbox.go", "gorm.io/gorm", ""},
	{"pkg/events/outbox.go", module + "/pkg/events/transport", ""},
	{"pkg/events/outbox_test.go", module + "/pkg/chassis", "the library stands alone"},
	{"pkg/events/outbox_test.go", module + "/verify/testservers", "the library stands alone"},
	{"pkg/events/outbox_test.go", module + "/pkg/events/inprocess", ""},
	{"pkg/events/outbox_test.go", "github.com/glebarez/sqlite", ""},
	{"pkg/events/rabbitmq/transport.go", module + "/pkg/events/inprocess", "rabbitmq and inprocess"},
	{"pkg/events/inprocess/transport.go", module + "/pkg/events/rabbitmq", "inprocess and rabbitmq"},
	{"pkg/events/inprocess/transport.go", "modernc.org/sqlite", "the embedded stack's database"},

	{"pkg/chassis/run.go", module + "/contracts", "chassis"},
	{"pkg/chassis/run.go", module + "/services/order", "chassis"},
	{"pkg/chassis/run.go", module + "/verify/testservers", "imported by tests only"},
	{"pkg/chassis/run.go", module + "/pkg/events", ""},
	{"pkg/chassis/database.go", "gorm.io/driver/sqlite", "the embedded stack's database"},
	{"verify/servicetest/postgres.go", module + "/verify/testservers", ""},

	{"services/order/order.go", "gorm.io/gorm", "domain files use the standard library and contracts only"},
	{"services/order/order.go", module + "/pkg/events", "domain files use the standard library and contracts only"},
	{"services/order/order.go", module + "/contracts", ""},
	{"services/order/order.go", "time", ""},
	{"services/inventory/inventory.go", "gorm.io/gorm", "domain files use the standard library and contracts only"},
	{"services/payment/payment.go", "gorm.io/gorm", "domain files use the standard library and contracts only"},
	{"services/shipping/shipping.go", "gorm.io/gorm", "domain files use the standard library and contracts only"},
	{"services/order/service.go", module + "/services/payment", "service order"},
	{"services/order/service.go", module + "/simulators/carrier", "service order"},
	{"services/order/service.go", module + "/services/order/internal/store", ""},
	{"services/order/run.go", module + "/pkg/events/rabbitmq", ""},
	{"services/order/run.go", module + "/pkg/events/inprocess", "the embedded stack's transport"},
	{"services/order/run.go", module + "/verify/servicetest", "imported by tests only"},
	{"services/order/run_test.go", module + "/verify/servicetest", ""},
	{"services/order/run_test.go", module + "/verify/testservers", ""},
	{"services/order/run_test.go", module + "/verify/model", "service order"},
	{"services/order/run_test.go", "github.com/glebarez/sqlite", "the embedded stack's database"},
	{"services/order/cmd/order/main.go", module + "/services/order", ""},
	{"services/inventory/service.go", module + "/services/order", "service inventory"},
	{"services/payment/service.go", module + "/services/order", "service payment"},
	{"services/shipping/service.go", module + "/services/order", "service shipping"},
	{"services/notification/service.go", module + "/contracts", "service without a list"},

	{"services/topology/topology.go", module + "/services/order", ""},
	{"services/topology/topology.go", module + "/verify/reconcile", "topology of the services"},
	{"services/order/run.go", module + "/services/topology", "service order"},

	{"simulators/carrier/carrier.go", module + "/contracts", "simulators"},
	{"simulators/carrier/carrier.go", module + "/simulators/internal/faults", ""},
	{"simulators/carrier/carrier_test.go", module + "/verify/testservers", ""},
	{"examples/events-alone/main.go", module + "/pkg/chassis", "examples"},
	{"examples/events-alone/main.go", module + "/pkg/events/inprocess", ""},

	{"e2e/stack_test.go", module + "/services/order", "end-to-end tests"},
	{"e2e/stack_test.go", module + "/simulators/carrier", "end-to-end tests"},
	{"e2e/stack_test.go", module + "/cmd/quadrille/internal/demo", "end-to-end tests"},
	{"e2e/stack_test.go", module + "/verify/stackclient", ""},
	{"e2e/stack.go", module + "/verify/testservers", ""},
	{"verify/model/run.go", module + "/services/order", ""},
	{"verify/model/run.go", module + "/pkg/events", ""},
	{"verify/model/run.go", module + "/simulators/carrier", "the model"},
	{"verify/reconcile/run.go", module + "/services/order", "checks"},
	{"verify/reconcile/run.go", module + "/pkg/events/audit", ""},
	{"verify/reconcile/run.go", module + "/services/topology", ""},
	{"verify/testservers/postgres.go", module + "/pkg/events", "test servers"},
	{"verify/testservers/cmd/testservers/main.go", module + "/verify/testservers", ""},
	{"verify/events/inprocess/kill_test.go", "github.com/glebarez/sqlite", ""},

	{"cmd/quadrille/demo.go", module + "/e2e", "imported by none"},
	{"cmd/quadrille/demo.go", module + "/verify/model", "imported by none"},
	{"cmd/quadrille/demo.go", module + "/verify/testservers", "imported by tests only"},
	{"cmd/quadrille/demo.go", module + "/verify/reconcile", ""},
	{"cmd/quadrille/demo.go", module + "/services/order", ""},
	{"cmd/quadrille/demo.go", module + "/pkg/events/inprocess", ""},
	{"cmd/quadrille/demo.go", "github.com/glebarez/sqlite", ""},
}

func TestImportRules(t *testing.T) {
	t.Parallel()
	found := lint(t, cases)
	for _, c := range cases {
		lists := found[c.file][c.imported]
		switch {
		case c.list == "" && len(lists) > 0:
			t.Errorf("%s must be allowed to import %s, but breaks %q", c.file, c.imported, lists)
		case c.list != "" && !slices.Contains(lists, c.list):
			t.Errorf("%s imports %s: broken are %q, want %q", c.file, c.imported, lists, c.list)
		}
	}
}

func TestImportRules_EachListHasACase(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile("../../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(config), "    depguard:\n")
	lists := 0
	for line := range strings.Lines(rules) {
		name, isKey := strings.CutSuffix(strings.TrimSpace(line), ":")
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if indent == 4 {
			break
		}
		if indent != 8 || !isKey || strings.HasPrefix(name, "#") {
			continue
		}
		lists++
		if !slices.ContainsFunc(cases, func(c importCase) bool { return c.list == name }) {
			t.Errorf("no case breaks the list %q", name)
		}
	}
	if lists == 0 {
		t.Error("found no list in .golangci.yml")
	}
}

// lint writes these imports into a module of another name, where they make no cycles and need not exist, and returns the lists that golangci-lint finds broken, by file and import.
func lint(t *testing.T, cases []importCase) map[string]map[string][]string {
	t.Helper()
	dir := t.TempDir()
	config, err := os.ReadFile("../../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".golangci.yml"), string(config))
	write(t, filepath.Join(dir, "go.mod"), "module example.org/copy\n\ngo 1.26.0\n")
	sources := map[string]string{}
	for _, c := range cases {
		if sources[c.file] == "" {
			sources[c.file] = "package p\n"
		}
		sources[c.file] += fmt.Sprintf("import _ %q\n", c.imported)
	}
	for file, source := range sources {
		write(t, filepath.Join(dir, file), source)
	}

	program, err := exec.Command("go", "tool", "-n", "golangci-lint").Output()
	if err != nil {
		t.Fatalf("go tool golangci-lint: %v", err)
	}
	command := exec.Command(strings.TrimSpace(string(program)), "run", "--enable-only=depguard", "--issues-exit-code=0",
		"--uniq-by-line=false", "--show-stats=false", "--output.json.path=stdout", "./...")
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOPROXY=off", "GOLANGCI_LINT_CACHE="+t.TempDir())
	var output, errors bytes.Buffer
	command.Stdout, command.Stderr = &output, &errors
	if err := command.Run(); err != nil {
		t.Fatalf("golangci-lint: %v\n%s", err, &errors)
	}
	var report struct {
		Issues []struct {
			Text string
			Pos  struct{ Filename string }
		}
	}
	if err := json.NewDecoder(&output).Decode(&report); err != nil {
		t.Fatalf("golangci-lint printed no report: %v\n%s", err, &errors)
	}
	found := map[string]map[string][]string{}
	for _, issue := range report.Issues {
		file, rest := filepath.ToSlash(issue.Pos.Filename), strings.TrimPrefix(issue.Text, "import '")
		imported, rest, _ := strings.Cut(rest, "' is not allowed from list '")
		// The list's name may hold an apostrophe: it ends at the last one before the description, or of all.
		name, _, _ := strings.Cut(rest, "': ")
		if found[file] == nil {
			found[file] = map[string][]string{}
		}
		found[file][imported] = append(found[file][imported], strings.TrimSuffix(name, "'"))
	}
	return found
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
