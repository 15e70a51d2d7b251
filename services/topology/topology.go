// Package topology lists the topology of all services: what each needs on a broker.
package topology

import (
	"errors"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/services/payment"
	"github.com/quadrille-dev/quadrille/services/shipping"
)

// All derives the topology of every service from its subscriptions. Without retry delays, the library's default applies.
func All(retryDelays []time.Duration) ([]transport.Topology, error) {
	var (
		all  []transport.Topology
		errs []error
	)
	for _, s := range []struct {
		service       string
		subscriptions []events.Subscription
	}{
		{"order", order.Subscriptions(nil)},
		{"inventory", inventory.Subscriptions(nil)},
		{"payment", payment.Subscriptions(nil)},
		{"shipping", shipping.Subscriptions(nil)},
	} {
		t, err := events.NewTopology(events.Config{Events: events.Declarations(contracts.Events), Service: s.service, RetryDelays: retryDelays}, s.subscriptions...)
		all, errs = append(all, t), append(errs, err)
	}
	return all, errors.Join(errs...)
}
