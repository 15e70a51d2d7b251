package rabbitmq

import (
	"regexp"
	"slices"
	"strings"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Permissions are the permissions of a RabbitMQ user in a virtual host: anchored regular expressions over the names of
// exchanges and queues. The zero value permits to connect and to passively declare, which suffices for Check and Depths.
//
// The expressions match families of names (every main queue of inventory), not single handlers. A queue exists only if the
// user with the configure permission has declared it, so a new handler needs no new permission.
type Permissions struct {
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// ServicePermissions returns the permissions of a service: to publish its own events, to consume its own queues, and to
// publish to its own retry queues and dead letters. It may declare and bind nothing.
func ServicePermissions(service string) Permissions {
	service = regexp.QuoteMeta(service)
	return Permissions{
		Write: whole(service + `\.(events|retry)`),
		Read:  whole(service + `\.` + anyHandler + `\.(q|undelivered)`),
	}
}

// TopologyPermissions returns the permissions that Declare needs. To declare a queue with a dead-letter exchange, RabbitMQ
// requires the permission to read the queue and to write to that exchange, which for retry queues is the default one. This
// user can therefore consume from and publish to queues, except dead letters and the events exchanges. Only the job that
// declares the topology should have its password.
func TopologyPermissions(all ...transport.Topology) Permissions {
	services := anyService(all)
	return Permissions{
		Configure: whole(services + `\.(events|retry|` + anyHandler + `\.(q|dlx|undelivered|dlq|retry\..+))`),
		Write:     whole(`(amq\.default|` + services + `\.` + anyHandler + `\.(q|dlx|undelivered|dlq|retry\..+))`),
		Read:      whole(services + `\.(events|retry|` + anyHandler + `\.(q|dlx|undelivered|retry\..+))`),
	}
}

// OperatorPermissions returns the permissions to read and remove dead letters.
func OperatorPermissions(all ...transport.Topology) Permissions {
	return Permissions{Read: whole(anyService(all) + `\.` + anyHandler + `\.dlq`)}
}

// anyHandler has no dot, so that it cannot match the rest of a name.
const anyHandler = `[a-z0-9-]+`

// anyService matches the services of the topologies and the publishers of their events.
func anyService(all []transport.Topology) string {
	var names []string
	for _, t := range all {
		names = append(names, regexp.QuoteMeta(t.Service))
		for _, q := range t.Queues {
			names = append(names, regexp.QuoteMeta(q.Publisher))
		}
	}
	slices.Sort(names)
	return "(" + strings.Join(slices.Compact(names), "|") + ")"
}

// whole anchors an expression, since RabbitMQ accepts a match anywhere in a name.
func whole(expression string) string { return "^" + expression + "$" }
