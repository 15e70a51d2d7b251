package embedded

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/services/topology"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	s, err := parseSettings([]string{
		"ORDER_PAYMENT_DEADLINE=3s", "RETRY_DELAYS=1s,2s", "CARRIER_DISPATCH_DELAY=0s", "CARRIER_DELIVERY_DELAY=7ms", "OPS_TOKEN=open",
		"EVENTS_AUDIT=false", "SEED_CATALOGUE=false",
		// These are ignored.
		"DATABASE_URL=sqlite://", "AMQP_URL=nonsense", "HTTP_ADDR=nonsense", "STRIPE_URL=https://api.stripe.com", "STRIPE_KEY=sk_live_1",
	})
	if err != nil {
		t.Fatal(err)
	}
	topologies, err := topology.All(s.shared.Events.RetryDelays)
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range topologies {
		if delays := service.Queues[0].RetryDelays; len(delays) != 2 || delays[1] != 2*time.Second {
			t.Errorf("%s has the retry delays %v", service.Service, delays)
		}
	}
	if s.order.PaymentDeadline != 3*time.Second || s.simulators.DeliveryDelay != 7*time.Millisecond || s.shared.OpsToken.Reveal() != "open" ||
		s.shared.Events.Audit || s.inventory.SeedCatalogue || s.order.AwaitProducts != nil {
		t.Errorf("settings %+v", s)
	}
	if s.payment.StripeKey.Reveal() != stripeKey || strings.Contains(s.payment.StripeURL, "stripe.com") {
		t.Errorf("real cards would be charged at %s", s.payment.StripeURL)
	}
}

func TestSettings_Defaults(t *testing.T) {
	t.Parallel()
	s, err := parseSettings(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.order.AwaitProducts, inventory.SeedSKUs()) {
		t.Errorf("order awaits %v", s.order.AwaitProducts)
	}
	if !s.shared.Events.Audit || !s.inventory.SeedCatalogue || s.shared.OpsToken.Reveal() != DefaultToken || s.simulators.DispatchDelay != time.Second {
		t.Errorf("settings %+v", s)
	}
}

func TestSettings_Errors(t *testing.T) {
	t.Parallel()
	_, err := parseSettings([]string{"RETRY_DELAYS=5s,1s", "CARRIER_DELIVERY_DELAY=-1s", "ORDER_STALLED_AFTER=soon"})
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, name := range []string{"RETRY_DELAYS", "CARRIER_DELIVERY_DELAY", "ORDER_STALLED_AFTER"} {
		if n := strings.Count(err.Error(), name); n != 1 {
			t.Errorf("%s is named %d times in %q", name, n, err)
		}
	}
}
