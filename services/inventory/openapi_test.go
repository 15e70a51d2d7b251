package inventory_test

import (
	"testing"

	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	servicetest.CheckOpenAPI(t, inventory.New(nil).Definition())
}
