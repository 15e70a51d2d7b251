package rabbitmq

import (
	"regexp"
	"slices"
	"strings"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Permissions are what RabbitMQ lets a user do in a virtual host: regular expressions over the names of exchanges and
// queues, from end to end. The zero value permits nothing but to connect, and to ask for what is known by its name,
// which suffices for Check and Depths.
//
// They speak of families of names (every main queue of inventory), not of single reactions: a queue exists only if
// whoever may configure has declared it, and so a new reaction needs no new permission.
type Permissions struct {
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// ServicePermissions suffice for a service to publish its own events, to read its own queues, and to send what it
// cannot handle to its own rungs and dead letters. It may declare and bind nothing.
func ServicePermissions(service string) Permissions {
	service = regexp.QuoteMeta(service)
	return Permissions{
		Write: whole(service + `\.(events|retry)`),
		Read:  whole(service + `\.` + anyHandler + `\.q`),
	}
}

// TopologyPermissions suffice for Apply. They are more than they seem: to declare a queue that has a dead-letter
// exchange, RabbitMQ asks for the right to read the queue and to write to the exchange, which for rungs is the default
// one. So this user could consume and could put messages into queues, except that dead letters are closed to it, and
// every events exchange. Nobody but the job that applies the topology should have its password.
func TopologyPermissions(all ...transport.Topology) Permissions {
	services := anyService(all)
	return Permissions{
		Configure: whole(services + `\.(events|retry|` + anyHandler + `\.(q|dlx|dlq|retry\..+))`),
		Write:     whole(`(amq\.default|` + services + `\.` + anyHandler + `\.(q|dlx|dlq|retry\..+))`),
		Read:      whole(services + `\.(events|retry|` + anyHandler + `\.(q|dlx|retry\..+))`),
	}
}

// OperatorPermissions let a person look at dead letters, and take them out.
func OperatorPermissions(all ...transport.Topology) Permissions {
	return Permissions{Read: whole(anyService(all) + `\.` + anyHandler + `\.dlq`)}
}

// anyReaction has no dot, so that it cannot reach into the rest of a name.
const anyHandler = `[a-z0-9-]+`

// anyServiceOf matches the services, and those whose events they read.
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

// whole anchors an expression, since RabbitMQ is content with a match anywhere.
func whole(expression string) string { return "^" + expression + "$" }
