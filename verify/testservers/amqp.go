package testservers

import (
	"context"
	"fmt"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// AMQP returns the URL of a new, empty virtual host, which is deleted when t ends. It blocks until the server is up.
func AMQP(t testing.TB) string {
	t.Helper()
	b := sharedBroker(t)
	ctx, cancel := context.WithTimeout(t.Context(), operationTimeout)
	defer cancel()
	name := newName()
	if err := b.createVHost(ctx, name); err != nil {
		t.Fatalf("testservers: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
		defer cancel()
		if err := b.deleteVHost(ctx, name); err != nil {
			t.Errorf("testservers: %v", err)
		}
	})
	return b.vhostURL(name)
}

// A Topology is a virtual host that is prepared once per test binary and that its tests share. It is for tests that
// keep out of each other's way by other means. Declare it as a variable of the test package.
type Topology struct {
	prepare func(ctx context.Context, url string) error
	once    sync.Once
	url     string
	err     error
}

// NewTopology returns a virtual host that prepare fills, when the first test asks for it.
func NewTopology(prepare func(ctx context.Context, url string) error) *Topology {
	return &Topology{prepare: prepare}
}

// AMQP returns the URL of the virtual host. An error of prepare fails every test that asks.
func (tpl *Topology) AMQP(t testing.TB) string {
	t.Helper()
	tpl.once.Do(func() { tpl.url, tpl.err = tpl.make() })
	if tpl.err != nil {
		t.Fatalf("testservers: preparing the topology: %v", tpl.err)
	}
	return tpl.url
}

func (tpl *Topology) make() (string, error) {
	b, err := broker()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	name := newName()
	if err := b.createVHost(ctx, name); err != nil {
		return "", err
	}
	atEnd(func(ctx context.Context) error { return b.deleteVHost(ctx, name) })
	return b.vhostURL(name), tpl.prepare(ctx, b.vhostURL(name))
}

// QueueDepths says how many messages are ready in each durable queue of the virtual host at amqpURL, which may be on
// the shared broker or on an [OwnBroker]. Messages that a consumer holds unacknowledged are not counted. The queues
// themselves are asked, so that the numbers are those of this moment.
func QueueDepths(t testing.TB, amqpURL string) map[string]int {
	t.Helper()
	depths, err := queueDepths(t.Context(), amqpURL)
	if err != nil {
		t.Fatalf("testservers: queue depths: %v", err)
	}
	return depths
}

func queueDepths(ctx context.Context, amqpURL string) (map[string]int, error) {
	uri, err := amqp.ParseURI(amqpURL)
	if err != nil {
		return nil, err
	}
	b, err := brokerAt(amqpURL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	names, err := b.queueNames(ctx, uri.Vhost)
	if err != nil {
		return nil, err
	}
	conn, err := amqp.Dial(amqpURL)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	depths := make(map[string]int, len(names))
	for _, name := range names {
		q, err := channel.QueueDeclarePassive(name, true, false, false, false, nil)
		if err != nil {
			return nil, fmt.Errorf("queue %s: %w", name, err)
		}
		depths[name] = q.Messages
	}
	return depths, nil
}

func sharedBroker(t testing.TB) rabbit {
	t.Helper()
	b, err := broker()
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	return b
}

// ownBrokers remembers the management API of each broker that a test started for itself, by its AMQP host and port.
var ownBrokers sync.Map // string → rabbit

// brokerAt is the broker that amqpURL leads to.
func brokerAt(amqpURL string) (rabbit, error) {
	asked, err := newRabbit(amqpURL, "")
	if err != nil {
		return rabbit{}, err
	}
	if own, ok := ownBrokers.Load(asked.amqp.Host); ok {
		return own.(rabbit), nil
	}
	shared, err := broker()
	if err != nil {
		return rabbit{}, err
	}
	if shared.amqp.Host != asked.amqp.Host {
		return rabbit{}, fmt.Errorf("%s is no test broker", asked.amqp.Host)
	}
	return shared, nil
}
