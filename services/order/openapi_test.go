package order_test

import (
	"testing"

	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	servicetest.CheckOpenAPI(t, order.New(nil, order.Timeouts{}).Definition())
}
