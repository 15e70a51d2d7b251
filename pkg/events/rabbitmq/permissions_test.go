package rabbitmq

import (
	"regexp"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// What a broker permits with these expressions is tested in verify/events/rabbitmq.
func TestPermissions_MatchWholeNames(t *testing.T) {
	t.Parallel()
	q := testQueue(time.Second)
	all := transport.Topology{Service: "inventory", Queues: []transport.Queue{q}}
	service, topology, operator := ServicePermissions("inventory"), TopologyPermissions(all), OperatorPermissions(all)
	for _, c := range []struct {
		expression, name string
		want             bool
	}{
		{service.Write, "inventory.events", true},
		{service.Write, "order.events", false},
		{service.Write, "inventory-archive.retry", false},
		{service.Write, QueueName(q), false},
		{service.Read, QueueName(q), true},
		{service.Read, UndeliveredQueueName(q), true},
		{service.Read, RetryQueueName(q, time.Second), false},
		{service.Read, DeadLetterQueueName(q), false},
		{topology.Configure, QueueName(q), true},
		{topology.Configure, "order.events", true},
		{topology.Configure, "tap.q", false},
		{topology.Read, DeadLetterQueueName(q), false},
		{operator.Read, DeadLetterQueueName(q), true},
		{operator.Read, QueueName(q), false},
	} {
		if got := regexp.MustCompile(c.expression).MatchString(c.name); got != c.want {
			t.Errorf("%s matches %s: %v", c.expression, c.name, got)
		}
	}
}
