package order_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

// A new stack has products whose events are still on the way when every service runs.
func TestCatalogue_IsAwaited(t *testing.T) {
	t.Parallel()
	for name, arrives := range map[string]events.ETO{
		"created": contracts.ProductCreated{SKU: "violin", Name: "Violin", Price: euros(24900), Version: 1},
		"updated": contracts.ProductUpdated{SKU: "violin", Name: "Violin", Price: euros(24900), Version: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixtureWith(t, order.Timeouts{Payment: time.Hour}, "fan", "gloves", "violin")
			if r := s.Get(t, "/readyz"); r.Code != http.StatusServiceUnavailable || !strings.Contains(r.Body.String(), `"catalogue":"failed"`) {
				t.Errorf("readiness is %d %s", r.Code, r.Body)
			}
			s.place(t) // what has arrived can be ordered
			body := request()
			body["items"] = []any{map[string]any{"sku": "violin", "quantity": 1}}
			r := s.post(t, body, "key")
			servicetest.WantProblem(t, r, http.StatusServiceUnavailable)
			if r.Header().Get("Retry-After") != "1" {
				t.Errorf("headers %v", r.Header())
			}

			s.Deliver(t, arrives)
			servicetest.Decode[view](t, s.post(t, body, "key"), http.StatusAccepted)
			body["items"] = []any{map[string]any{"sku": "viola", "quantity": 1}}
			servicetest.WantProblem(t, s.post(t, body, "another key"), http.StatusUnprocessableEntity)
			servicetest.WaitUntil(t, "the service is ready", func() bool { return s.Get(t, "/readyz").Code == http.StatusOK })
		})
	}
}

// A product that was deleted before the service received it does not keep it from being ready.
func TestCatalogue_DeletedProductIsKnown(t *testing.T) {
	t.Parallel()
	s := newFixtureWith(t, order.Timeouts{Payment: time.Hour}, "fan", "gloves", "violin")
	s.Deliver(t, contracts.ProductDeleted{SKU: "violin", Version: 2})
	servicetest.WaitUntil(t, "the service is ready", func() bool { return s.Get(t, "/readyz").Code == http.StatusOK })
}

// A product can be ordered as soon as its event has arrived. Until then the order is refused, and can be repeated.
func TestCatalogue_RejectedOrderCanBeRepeated(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	body := request()
	body["items"] = []any{map[string]any{"sku": "violin", "quantity": 1}}
	servicetest.WantProblem(t, s.post(t, body, "key"), http.StatusUnprocessableEntity)
	s.Deliver(t, contracts.ProductCreated{SKU: "violin", Name: "Violin", Price: euros(24900), Version: 1})
	servicetest.Decode[view](t, s.post(t, body, "key"), http.StatusAccepted)
}
