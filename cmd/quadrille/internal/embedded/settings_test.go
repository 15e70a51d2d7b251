package embedded

import (
	"strings"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/services/topology"
)

func TestSettings_ComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	s, err := parseSettings([]string{
		"ORDER_PAYMENT_DEADLINE=3s", "RETRY_DELAYS=1s,2s", "CARRIER_DISPATCH_DELAY=0s", "CARRIER_DELIVERY_DELAY=7ms", "OPS_TOKEN=open",
		"EVENTS_AUDIT=false", "SEED_CATALOGUE=false",
		// Of a shop of another kind, and none of this one's business.
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
		if ladder := service.Queues[0].RetryDelays; len(ladder) != 2 || ladder[1] != 2*time.Second {
			t.Errorf("%s has the ladder %v", service.Service, ladder)
		}
	}
	if s.order.PaymentDeadline != 3*time.Second || s.sims.DeliveryDelay != 7*time.Millisecond || s.shared.OpsToken.Reveal() != "open" ||
		s.shared.Events.Audit || s.inventory.SeedCatalogue {
		t.Errorf("settings %+v", s)
	}
	if s.payment.StripeKey.Reveal() != stripeKey || strings.Contains(s.payment.StripeURL, "stripe.com") {
		t.Errorf("real cards would be charged at %s", s.payment.StripeURL)
	}
}

func TestSettings_HaveDefaultsForFirstContact(t *testing.T) {
	t.Parallel()
	s, err := parseSettings(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !s.shared.Events.Audit || !s.inventory.SeedCatalogue || s.shared.OpsToken.Reveal() != DefaultToken || s.sims.HandoverDelay != time.Second {
		t.Errorf("settings %+v", s)
	}
}

func TestSettings_MistakesAreSaidOnceAndTogether(t *testing.T) {
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
