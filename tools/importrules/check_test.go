package main

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestCheck_GoesRedForEachForbiddenImport(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file, imported, says string
	}{
		{"contracts/order.go", "github.com/google/uuid", "contracts import the standard library only"},
		{"contracts/order_test.go", modulePrefix + "pkg/events", "contracts import nothing else"},
		{"pkg/events/outbox.go", modulePrefix + "contracts", "pkg/events stands alone"},
		{"pkg/events/outbox_test.go", modulePrefix + "pkg/chassis", "pkg/events stands alone"},
		{"pkg/events/rabbitmq/transport.go", modulePrefix + "pkg/events/inprocess", "transports do not import each other"},
		{"pkg/events/inprocess/transport.go", modulePrefix + "pkg/events/rabbitmq", "transports do not import each other"},
		{"pkg/events/inprocess/transport.go", "modernc.org/sqlite", "its caller's choice"},
		{"pkg/chassis/run.go", modulePrefix + "contracts", "pkg/chassis knows the library"},
		{"pkg/chassis/database.go", "gorm.io/driver/sqlite", "only cmd/quadrille"},
		{"services/order/service.go", modulePrefix + "services/payment", "neither another service"},
		{"services/order/cmd/order/main.go", modulePrefix + "services/payment", "neither another service"},
		{"services/order/service_test.go", modulePrefix + "simulators", "nor the simulators"},
		{"services/order/order.go", "gorm.io/gorm", "domain file"},
		{"services/order/order.go", modulePrefix + "pkg/events", "domain file"},
		{"services/order/run.go", modulePrefix + "pkg/events/inprocess", "in-process transport"},
		{"services/order/run_test.go", "github.com/glebarez/sqlite", "SQLite"},
		{"services/order/store.go", modulePrefix + "verify/testservers", "is for tests"},
		{"simulators/processor.go", modulePrefix + "contracts", "simulators"},
		{"e2e/shop_test.go", modulePrefix + "services/order", "black box"},
		{"cmd/quadrille/demo.go", modulePrefix + "e2e", "nobody imports e2e"},
		{"model/run.go", modulePrefix + "simulators/carrier", "neither the simulators"},
		{"services/order/order_test.go", modulePrefix + "model", "nobody imports the model"},
		{"examples/events-alone/main.go", modulePrefix + "pkg/chassis", "pkg/events alone"},
	} {
		violations := checkOne(t, tc.file, tc.imported)
		if len(violations) == 0 {
			t.Errorf("%s may import %s", tc.file, tc.imported)
			continue
		}
		if want := tc.file + ":3: imports " + tc.imported + ": "; !strings.HasPrefix(violations[0], want) {
			t.Errorf("%q does not begin with %q", violations[0], want)
		}
		if !strings.Contains(strings.Join(violations, "\n"), tc.says) {
			t.Errorf("%q do not say %q", violations, tc.says)
		}
	}
}

func TestCheck_StaysGreenForWhatTheDesignAllows(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ file, imported string }{
		{"contracts/order.go", "time"},
		{"contracts/order_test.go", "github.com/google/go-cmp/cmp"},
		{"pkg/events/outbox.go", "gorm.io/gorm"},
		{"pkg/events/conformance_test.go", modulePrefix + "verify/testservers"},
		{"pkg/events/conformance_test.go", modulePrefix + "pkg/events/inprocess"},
		{"pkg/events/eventstest/suite_test.go", "github.com/glebarez/sqlite"},
		{"pkg/chassis/health.go", modulePrefix + "pkg/events"},
		{"services/order/order.go", "encoding/json"},
		{"services/order/service.go", modulePrefix + "contracts"},
		{"services/order/cmd/order/main.go", modulePrefix + "services/order"},
		{"services/order/run.go", modulePrefix + "pkg/events/rabbitmq"},
		{"services/order/run_test.go", modulePrefix + "verify/testservers"},
		{"cmd/quadrille/demo.go", modulePrefix + "pkg/events/inprocess"},
		{"cmd/quadrille/demo.go", modulePrefix + "services/order"},
		{"cmd/quadrille/demo.go", "github.com/glebarez/sqlite"},
		{"e2e/shop.go", modulePrefix + "verify/testservers"},
		{"model/order.go", modulePrefix + "services/order"},
		{"model/party.go", modulePrefix + "pkg/events"},
		{"tools/importrules/main.go", modulePrefix + "services/order"},
		{"pkg/events/testdata/broken.go", modulePrefix + "services/order"},
	} {
		if violations := checkOne(t, tc.file, tc.imported); len(violations) > 0 {
			t.Error(violations)
		}
	}
}

func TestCheck_ReportsFilesThatItCannotRead(t *testing.T) {
	t.Parallel()
	if _, err := check(fstest.MapFS{"contracts/order.go": {Data: []byte("no Go")}}, rules); err == nil {
		t.Error("a broken file passes")
	}
}

func checkOne(t *testing.T, file, imported string) []string {
	t.Helper()
	source := "package p\n\nimport _ \"" + imported + "\"\n"
	violations, err := check(fstest.MapFS{file: {Data: []byte(source)}}, rules)
	if err != nil {
		t.Fatal(err)
	}
	return violations
}
