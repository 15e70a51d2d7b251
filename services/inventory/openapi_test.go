package inventory_test

import (
	"testing"

	"github.com/quadrille-dev/quadrille/contracts/openapi"
	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	servicetest.CheckOpenAPI(t, inventory.New(nil).Definition())
}

func TestBodies(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.stock(t, "fan", 1)
	servicetest.CheckBodies(t, s.Harness, openapi.Inventory, map[string]string{"sku": "fan"}, func(string) []string { return nil })
}
