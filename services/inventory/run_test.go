package inventory_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/testservers"
	"github.com/quadrille-dev/quadrille/services/inventory"
)

func TestRun_ServesFromAnEmptyDatabaseUntilItIsStopped(t *testing.T) {
	t.Parallel()
	db, err := openDatabase(t.Context(), testservers.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chassis.CloseDatabase(db); err != nil {
			t.Error(err)
		}
	})
	address := make(chan string, 1)
	cfg := inventory.Config{SeedCatalogue: true, Config: chassis.Config{
		HTTPAddr: "127.0.0.1:0", ShutdownTimeout: 10 * time.Second, DefaultTenant: "default",
		OnListen: func(a net.Addr) { address <- a.String() },
	}}
	tr := eventstest.NewTransport()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- inventory.Run(ctx, cfg, db, tr) }()

	seeded := tr.WaitFor(t, "product.created.v1", "violin")
	violin := eventstest.Decode[contracts.ProductCreated](t, seeded)
	if violin.Price != (contracts.Money{Amount: 24900, Currency: "EUR"}) || seeded.TenantID != "default" {
		t.Errorf("%+v %s", seeded.Metadata, seeded.Data)
	}
	if v := tr.Deliver(t, order("o-1", item("violin", 1))); v.Err != nil {
		t.Errorf("verdict %+v", v)
	}
	tr.WaitFor(t, "inventory.reserved.v1", "o-1")
	base := "http://" + <-address
	var product struct{ Available *int }
	getJSON(t, base+"/api/v1/products/violin", &product)
	if product.Available == nil || *product.Available != 0 {
		t.Errorf("%+v", product)
	}
	var checks any
	getJSON(t, base+"/readyz", &checks)

	stop()
	if err := <-done; err != nil {
		t.Errorf("a clean stop is no error: %v", err)
	}
}

func TestConfig_SeedsOnlyIfAsked(t *testing.T) {
	t.Parallel()
	base := []string{"DATABASE_URL=postgres://inventory@localhost/inventory", "AMQP_URL=amqp://inventory@localhost"}
	for seed, want := range map[string]bool{"": false, "off": false, "on": true} {
		cfg, err := chassis.ParseEnv(inventory.Defaults(), append(slices.Clone(base), "SEED_CATALOGUE="+seed))
		if err != nil || cfg.SeedCatalogue != want || cfg.HTTPAddr != ":8082" {
			t.Errorf("SEED_CATALOGUE=%s: %+v, %v", seed, cfg, err)
		}
	}
	if _, err := chassis.ParseEnv(inventory.Defaults(), append(base, "SEED_CATALOGUE=maybe")); err == nil {
		t.Error("maybe is no answer")
	}
}

func getJSON(t *testing.T, url string, into any) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s", url, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Errorf("GET %s: %v", url, err)
	}
}
