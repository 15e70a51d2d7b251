package order_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/events/audit"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/testservers"
	"github.com/quadrille-dev/quadrille/services/order"
)

func TestRun_ServesFromAnEmptyDatabaseUntilItIsStopped(t *testing.T) {
	t.Parallel()
	db, err := open(t.Context(), testservers.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chassis.CloseDatabase(db); err != nil {
			t.Error(err)
		}
	})
	listening := make(chan string, 1)
	cfg := order.Config{PaymentDeadline: time.Minute, StalledAfter: time.Hour, CarrierStalledAfter: time.Hour, Config: chassis.Config{
		HTTPAddr: "127.0.0.1:0", ShutdownTimeout: 10 * time.Second, OpsToken: opsToken, Audit: true,
		OnListen: func(a net.Addr) { listening <- "http://" + a.String() },
	}}
	tr := eventstest.NewTransport()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- order.Run(ctx, cfg, db, tr) }()

	var base string
	select {
	case base = <-listening:
	case err := <-done:
		t.Fatalf("stopped at once: %v", err)
	}
	for _, sku := range []string{"fan", "gloves"} {
		if v := tr.Deliver(t, contracts.ProductCreated{SKU: sku, Name: sku, Price: euros(100), Version: 1}); v.Err != nil {
			t.Errorf("verdict %+v", v)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/api/v1/orders", strings.NewReader(encode(t, request())))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "key-1")
	req.Header.Set("X-Correlation-ID", "flow-1")
	var placed view
	do(t, req, http.StatusAccepted, &placed)
	if e := tr.WaitFor(t, "order.created.v1", placed.ID); e.CorrelationID != "flow-1" || e.TenantID != "default" || e.Sequence != "1" {
		t.Errorf("order.created travels as %+v", e.Metadata)
	}

	var books struct {
		Service string
		Events  audit.Snapshot
		Entries struct {
			Orders []struct{ OrderID, State, WaitingOn string }
		}
	}
	req, err = http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/ops/audit", nil)
	if err != nil {
		t.Fatal(err)
	}
	do(t, req, http.StatusUnauthorized, &struct{}{})
	req.Header.Set("Authorization", "Bearer "+opsToken)
	do(t, req, http.StatusOK, &books)
	if o := books.Entries.Orders; books.Service != "order" || len(o) != 1 || o[0].OrderID != placed.ID || o[0].State != "pending" ||
		o[0].WaitingOn != "reserved" || !books.Events.Audited || len(books.Events.Consumed) != 2 {
		t.Errorf("books %+v", books)
	}

	req, err = http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	do(t, req, http.StatusOK, &struct{}{})

	stop()
	if err := <-done; err != nil {
		t.Errorf("a clean stop is no error: %v", err)
	}
}

func do(t *testing.T, req *http.Request, status int, into any) {
	t.Helper()
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != status {
		t.Errorf("%s: status %d, want %d", req.URL, resp.StatusCode, status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Errorf("%s: %v", req.URL, err)
	}
}

func TestConfig_ComesFromTheEnvironment(t *testing.T) {
	t.Parallel()
	needed := []string{"DATABASE_URL=postgres://localhost/order", "AMQP_URL=amqp://localhost"}
	with := func(setting string) []string { return append([]string{setting}, needed...) }
	cfg, err := chassis.ParseEnv(order.Defaults(), needed)
	if err != nil || cfg.PaymentDeadline != 15*time.Minute || cfg.HTTPAddr != ":8081" {
		t.Errorf("by default: deadline %v, address %s, %v", cfg.PaymentDeadline, cfg.HTTPAddr, err)
	}
	cfg, err = chassis.ParseEnv(order.Defaults(), with("ORDER_PAYMENT_DEADLINE=90s"))
	if err != nil || cfg.PaymentDeadline != 90*time.Second {
		t.Errorf("deadline %v, %v", cfg.PaymentDeadline, err)
	}
	for _, name := range []string{"ORDER_PAYMENT_DEADLINE", "ORDER_STALLED_AFTER", "ORDER_CARRIER_STALLED_AFTER"} {
		for _, wrong := range []string{"-1s", "soon"} {
			_, err := chassis.ParseEnv(order.Defaults(), with(name+"="+wrong))
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%s: the error does not name the variable: %v", name, wrong, err)
			}
		}
	}
}
