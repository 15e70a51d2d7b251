package shipping

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
	cfg.CarrierURL, cfg.CarrierWebhookSecret = newFakeCarrier(t).server.URL, secret
	return servicetest.Serve(t, cfg, Run)
}

func TestRun(t *testing.T) {
	t.Parallel()
	p := serve(t)
	p.Deliver(t, order, paid, bookingRequested)
	for _, path := range []string{"/livez", "/readyz", "/api/v1/shipments/o"} {
		p.CallOK(t, http.MethodGet, path, "", nil)
	}
	p.Stop()
	p.Transport.WaitFor(t, booked.EventType(), "o")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	needed := []string{"CARRIER_URL=http://localhost:8092", "CARRIER_WEBHOOK_SECRET=whsec_secret"}
	if cfg := servicetest.ParseEnv(t, Defaults(), needed...); cfg.HTTPAddr != ":8084" || cfg.CarrierTimeout != 10*time.Second {
		t.Errorf("defaults %+v", cfg)
	}
	servicetest.WantConfigErrors(t, Defaults(), needed, "CARRIER_URL=localhost:8092", "CARRIER_TIMEOUT=21s", "CARRIER_WEBHOOK_SECRET=")
}

func TestSubscriptions_Topology(t *testing.T) {
	t.Parallel()
	topology, err := events.NewTopology(events.Config{Events: events.Declarations(contracts.Events), Service: "shipping"}, Subscriptions(nil)...)
	if err != nil || len(topology.Queues) != 6 {
		t.Errorf("%+v, %v", topology, err)
	}
}
