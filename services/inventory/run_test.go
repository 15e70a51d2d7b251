package inventory_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/verify/testservers"
	"github.com/quadrille-dev/quadrille/services/inventory"
)

func TestRun_ServesFromAnEmptyDatabaseUntilItIsStopped(t *testing.T) {
	t.Parallel()
	base, tr, stop := serve(t, func(cfg *inventory.Config) { cfg.SeedCatalogue = true })

	seeded := tr.WaitFor(t, "product.created.v1", "violin")
	violin := eventstest.Decode[contracts.ProductCreated](t, seeded)
	if violin.Price != (contracts.Money{Amount: 24900, Currency: "EUR"}) || seeded.TenantID != "default" {
		t.Errorf("%+v %s", seeded.Metadata, seeded.Data)
	}
	if v := tr.Deliver(t, order("o-1", item("violin", 1))); v.Err != nil {
		t.Errorf("verdict %+v", v)
	}
	tr.WaitFor(t, "inventory.reserved.v1", "o-1")
	var product struct{ Available *int }
	getJSON(t, base+"/api/v1/products/violin", &product)
	if product.Available == nil || *product.Available != 0 {
		t.Errorf("%+v", product)
	}
	var checks any
	getJSON(t, base+"/readyz", &checks)

	stop()
}

// serve runs the service as its command does, until stop or the end of the test; either fails the test if that was
// not clean. It returns once requests are served.
func serve(t *testing.T, change func(*inventory.Config)) (url string, tr *eventstest.Transport, stop func()) {
	t.Helper()
	db, err := openDatabase(t.Context(), testservers.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Close(db); err != nil {
			t.Error(err)
		}
	})
	listening := make(chan string, 1)
	cfg := inventory.Config{Config: chassis.Config{
		HTTPAddr: "127.0.0.1:0", ShutdownTimeout: 10 * time.Second, DefaultTenant: "default",
		OnListen: func(a net.Addr) { listening <- "http://" + a.String() },
	}}
	change(&cfg)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	stopped := make(chan error, 1)
	tr = eventstest.NewTransport()
	go func() { stopped <- inventory.Run(ctx, cfg, db, tr) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("a clean stop is no error: %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case url = <-listening:
	case err := <-stopped:
		stopped <- err
		t.Fatalf("it does not serve: %v", err)
	}
	return url, tr, stop
}

func TestConfig_SeedsOnlyIfAsked(t *testing.T) {
	t.Parallel()
	base := []string{"DATABASE_URL=postgres://inventory@localhost/inventory", "AMQP_URL=amqp://inventory@localhost"}
	for seed, want := range map[string]bool{"": false, "false": false, "true": true} {
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
