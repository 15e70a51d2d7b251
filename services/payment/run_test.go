package payment

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestConfig_HasDefaultsAndNamesEveryMistake(t *testing.T) {
	t.Parallel()
	needed := []string{
		"DATABASE_URL=postgres://localhost/payment", "AMQP_URL=amqp://localhost",
		"STRIPE_KEY=sk_test_secret",
	}
	cfg, err := chassis.ParseEnv(Defaults(), needed)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.HTTPAddr != ":8083" || cfg.StripeURL != "https://api.stripe.com" || cfg.StripeTimeout != 10*time.Second {
		t.Errorf("defaults %+v", cfg)
	}
	_, err = chassis.ParseEnv(Defaults(), append(needed, "STRIPE_URL=localhost:8091", "STRIPE_TIMEOUT=16s", "STRIPE_KEY="))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, setting := range []string{"STRIPE_URL", "STRIPE_TIMEOUT", "STRIPE_KEY"} {
		if !strings.Contains(err.Error(), setting) {
			t.Errorf("%s is not named in: %v", setting, err)
		}
	}
}

func TestSubscriptions_MakeTheTopologyWithoutAService(t *testing.T) {
	t.Parallel()
	topology, err := events.NewTopology(events.Config{Events: events.Declarations(contracts.Events), Service: "payment"}, Subscriptions(nil)...)
	if err != nil || len(topology.Queues) != 7 {
		t.Errorf("%+v, %v", topology, err)
	}
}

// On an empty database, from the first start to a clean stop.
func TestRun_ServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	url, tr, stop := serve(t, func(*Config) {})
	for _, eto := range []events.ETO{orderCreated("o", "pm_card_visa"), reserved, chargeStarted} {
		if v := tr.Deliver(t, eto); v.Action != transport.Ack {
			t.Errorf("%s: verdict %+v", eto.EventType(), v)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/api/v1/payments/o"} {
		wantOK(t, url+path)
	}
	stop()
	tr.WaitFor(t, processed.EventType(), "o")
}

// serve runs the service as its command does, until stop or the end of the test; either fails the test if that was
// not clean. It returns once requests are served.
func serve(t *testing.T, change func(*Config)) (url string, tr *eventstest.Transport, stop func()) {
	t.Helper()
	listening := make(chan string, 1)
	cfg := Config{
		Config: chassis.Config{
			HTTPAddr: "127.0.0.1:0", ShutdownTimeout: 10 * time.Second,
			OnListen: func(a net.Addr) { listening <- "http://" + a.String() },
		},
		StripeURL: newFakeProcessor(t).server.URL, StripeKey: "sk_test_secret", StripeTimeout: 5 * time.Second,
	}
	change(&cfg)
	db, err := open(t.Context(), testservers.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	stopped := make(chan error, 1)
	tr = eventstest.NewTransport()
	go func() { stopped <- Run(ctx, cfg, db, tr) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("run: %v", err)
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

func wantOK(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", url, resp.Status)
	}
}
