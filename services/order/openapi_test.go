package order_test

import (
	"crypto/rand"
	"testing"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/contracts/openapi"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	servicetest.CheckOpenAPI(t, order.New(nil, order.Timeouts{}).Definition())
}

func TestBodies(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, contracts.ProductCreated{SKU: "dance-shoes", Name: "Dance shoes", Price: euros(8999), Version: 1})
	servicetest.CheckBodies(t, s.Harness, openapi.Order, nil, func(string) []string {
		return []string{"Idempotency-Key: " + rand.Text()}
	})
}
