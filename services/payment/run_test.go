package payment

import (
	"net/http"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func serve(t *testing.T) *servicetest.Process {
	t.Helper()
	cfg := Defaults()
	cfg.StripeURL, cfg.StripeKey = newFakeProcessor(t).server.URL, "sk_test_secret"
	return servicetest.Serve(t, cfg, Run)
}

func TestRun(t *testing.T) {
	t.Parallel()
	p := serve(t)
	p.Deliver(t, orderCreated("o", "pm_card_visa"), reserved, chargeRequested)
	for _, path := range []string{"/livez", "/readyz", "/api/v1/payments/o"} {
		p.CallOK(t, http.MethodGet, path, "", nil)
	}
	p.Stop()
	p.Transport.WaitFor(t, processed.EventType(), "o")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	cfg := servicetest.ParseEnv(t, Defaults(), "STRIPE_KEY=sk_test_secret")
	if cfg.HTTPAddr != ":8083" || cfg.StripeURL != "https://api.stripe.com" || cfg.StripeTimeout != 10*time.Second {
		t.Errorf("defaults %+v", cfg)
	}
	servicetest.WantConfigErrors(t, Defaults(), []string{"STRIPE_KEY=sk_test_secret"},
		"STRIPE_URL=localhost:8091", "STRIPE_TIMEOUT=16s", "STRIPE_KEY=")
}

func TestSubscriptions_Topology(t *testing.T) {
	t.Parallel()
	topology, err := events.NewTopology(events.Config{Events: events.Declarations(contracts.Events), Service: "payment"}, Subscriptions(nil)...)
	if err != nil || len(topology.Queues) != 7 {
		t.Errorf("%+v, %v", topology, err)
	}
}
