package inventory_test

import (
	"net/http"
	"testing"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func serve(t *testing.T) *servicetest.Process {
	t.Helper()
	return servicetest.Serve(t, inventory.Defaults(), inventory.Run)
}

func TestRun(t *testing.T) {
	t.Parallel()
	cfg := inventory.Defaults()
	cfg.SeedCatalogue = true
	p := servicetest.Serve(t, cfg, inventory.Run)

	seeded := p.Transport.WaitFor(t, "product.created.v1", "violin")
	violin := eventstest.Decode[contracts.ProductCreated](t, seeded)
	if violin.Price != (contracts.Money{Amount: 24900, Currency: "EUR"}) || seeded.TenantID != "default" {
		t.Errorf("%+v %s", seeded.Metadata, seeded.Data)
	}
	p.Deliver(t, order("o-1", item("violin", 1)))
	p.Transport.WaitFor(t, "inventory.reserved.v1", "o-1")
	var product struct{ Available *int }
	p.CallOK(t, http.MethodGet, "/api/v1/products/violin", "", &product)
	if product.Available == nil || *product.Available != 0 {
		t.Errorf("%+v", product)
	}
	p.CallOK(t, http.MethodGet, "/readyz", "", nil)
	p.Stop()
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for seed, want := range map[string]bool{"": false, "false": false, "true": true} {
		cfg := servicetest.ParseEnv(t, inventory.Defaults(), "SEED_CATALOGUE="+seed)
		if cfg.SeedCatalogue != want || cfg.HTTPAddr != ":8082" {
			t.Errorf("SEED_CATALOGUE=%s: %+v", seed, cfg)
		}
	}
	servicetest.WantConfigErrors(t, inventory.Defaults(), nil, "SEED_CATALOGUE=on")
}
