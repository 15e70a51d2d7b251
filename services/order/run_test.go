package order_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestRun(t *testing.T) {
	t.Parallel()
	p := servicetest.Serve(t, order.Defaults(), order.Run)
	for _, sku := range []string{"fan", "gloves"} {
		p.Deliver(t, contracts.ProductCreated{SKU: sku, Name: sku, Price: euros(100), Version: 1})
	}
	var placed view
	p.CallOK(t, http.MethodPost, "/api/v1/orders", encode(t, request()), &placed,
		"Idempotency-Key: key-1", "X-Correlation-ID: flow-1")
	e := p.Transport.WaitFor(t, "order.created.v1", placed.ID)
	if e.CorrelationID != "flow-1" || e.TenantID != "default" || e.Sequence != "1" || e.Source != "/quadrille/order" {
		t.Errorf("metadata of order.created: %+v", e.Metadata)
	}
	p.CallOK(t, http.MethodGet, "/readyz", "", nil)

	audit := servicetest.ReadAudit[struct {
		Orders []struct{ OrderID, State, Missing string }
	}](t, p, 1)
	if o := audit.Entries.Orders; audit.Service != "order" || len(o) != 1 || o[0].OrderID != placed.ID || o[0].State != "pending" ||
		o[0].Missing != "reserved" || len(audit.Events.Consumed) != 2 {
		t.Errorf("audit snapshot %+v", audit)
	}
	p.Stop()
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if cfg := servicetest.ParseEnv(t, order.Defaults()); cfg.HTTPAddr != ":8081" || cfg.PaymentDeadline != 15*time.Minute {
		t.Errorf("defaults %+v", cfg)
	}
	if cfg := servicetest.ParseEnv(t, order.Defaults(), "ORDER_PAYMENT_DEADLINE=90s"); cfg.PaymentDeadline != 90*time.Second {
		t.Errorf("deadline %v", cfg.PaymentDeadline)
	}
	servicetest.WantConfigErrors(t, order.Defaults(), nil,
		"ORDER_PAYMENT_DEADLINE=-1s", "ORDER_PAYMENT_DEADLINE=soon", "ORDER_STALLED_AFTER=-1s", "ORDER_STALLED_AFTER=soon",
		"ORDER_CARRIER_STALLED_AFTER=-1s", "ORDER_CARRIER_STALLED_AFTER=soon")
}
