package shipping

import (
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/contracts/openapi"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	servicetest.CheckOpenAPI(t, New(nil, nil, "").Definition())
}

func TestBodies(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	created := order
	created.OrderID = "01a1fca4-9f9a-7341-b2e0-9dd5a3855120" // as in the example
	s.Deliver(t, created, contracts.PaymentProcessed{OrderID: created.OrderID, PaymentID: "pi_1"},
		contracts.ShipmentBookingRequested{OrderID: created.OrderID})
	servicetest.CheckBodies(t, s.Harness, openapi.Shipping, nil, func(body string) []string {
		return []string{"Carrier-Signature: " + sign(secret, time.Now(), body)}
	})
}
