// Package rabbitmq is the transport for RabbitMQ, 3.10 or later and 4.x.
//
// # Guarantees
//
//   - A message counts as published when the broker has confirmed it and not returned it. If the outcome is unknown
//     (connection lost, no confirm in time), the caller publishes again, so the broker may have the message twice.
//   - A delivery is acknowledged after its outcome has been carried out, on the channel it came from. Before that, a
//     retry or dead letter is published to its retry queue or dead-letter queue and confirmed there. A crash in between
//     duplicates the delivery and never loses it.
//   - What the broker gives up by itself (delivery limit, time to live, full queue) goes to the undelivered queue, from
//     where the consumer moves it to the dead letters with the reason. The broker does the same with a message that it does
//     not accept in a retry queue or dead-letter queue: the transport rejects the delivery.
//   - Headers that amqp091-go cannot decode are replaced by a note, and the message becomes a dead letter. Headers of more
//     than 64 KiB are not forwarded. No header changes more than the bookkeeping of its own message.
//   - Attempts are counted in the header retry-attempt, not by the broker: a redelivery after a crash or a lost
//     connection does not count.
//
// # Failures
//
//   - The transport makes new connections and channels itself. The recovery of amqp091-go stays off, since it reopens the
//     same channel, where a late acknowledgement could acknowledge another message. Publishing and consuming have
//     separate connections, so a broker that blocks publishers does not block acknowledgements. Check uses the connection
//     of the consumers, so it can be called often.
//   - Publish connects when necessary, fails at once if it cannot, and leaves retries to its caller. If the broker closes
//     the channel because of a message, the unresolved messages are published again one by one on another connection, so
//     that only the message at fault is rejected.
//   - Each consumer is supervised separately and resubscribes for ever, with growing pauses. Its errors are logged at most
//     once in ten seconds.
//   - A socket that accepts no bytes fails by its write deadline, and one that delivers none by its heartbeat.
//
// The topology must be declared before it is used, by Declare or by events.Config.DeclareTopology. Check reports what is
// missing.
package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Transport implements transport.Transport on RabbitMQ. Make one with New. It is safe for concurrent use.
type Transport struct {
	cfg       Config
	dial      dialFunc
	publisher *publisher
	consumers *consumerConnection
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Declarer  = (*Transport)(nil)
)

// New makes a transport. It reports every mistake in its arguments at once and does not connect. address is an AMQP URL,
// or several separated by commas for the nodes of a cluster, of which the transport uses any.
func New(address string, cfg Config) (*Transport, error) {
	cfg, err := cfg.withDefaults()
	errs := []error{err}
	urls := strings.Split(address, ",")
	for i, u := range urls {
		urls[i] = strings.TrimSpace(u)
		if uri, err := amqp.ParseURI(urls[i]); err != nil {
			errs = append(errs, fmt.Errorf("address %d: %w", i+1, withoutSecret(err)))
		} else if cfg.CAFile != "" && uri.Scheme != "amqps" {
			errs = append(errs, fmt.Errorf("address %d: a CA file requires amqps, not %s", i+1, uri.Scheme))
		}
	}
	if cfg.CAFile != "" {
		cfg.TLS, err = trusting(cfg.CAFile, cfg.TLS)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("rabbitmq: configuration: %w", err)
	}
	dial := newDialFunc(urls, cfg)
	return &Transport{
		cfg: cfg, dial: dial, publisher: newPublisher(dial, cfg.ConfirmTimeout), consumers: newConsumerConnection(dial),
	}, nil
}

// withoutSecret removes the address, which may contain a password, from an error.
func withoutSecret(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// Publish implements transport.Transport. If the exchange does not exist, the outcome is ErrUnroutable for every message to
// it, mandatory or not; if the user may not write to it, ErrTopology.
func (t *Transport) Publish(ctx context.Context, msgs []transport.Message) []error {
	messages := make([]*message, len(msgs))
	for i, m := range msgs {
		messages[i] = newMessage(m)
	}
	t.publisher.publish(ctx, messages)
	errs := make([]error, len(messages))
	for i, m := range messages {
		errs[i] = m.err
	}
	return errs
}

// Close implements transport.Transport. Publish and Check fail from then on. Consume is ended by its context and should
// have returned: it cannot acknowledge any more.
func (t *Transport) Close() error {
	t.publisher.close()
	t.consumers.close()
	return nil
}

// System implements transport.Names.
func (t *Transport) System() string { return "rabbitmq" }

// Destination implements transport.Names: exchange and routing key, as OpenTelemetry's conventions for RabbitMQ format
// them.
func (t *Transport) Destination(publisher, eventType string) string {
	return ExchangeName(publisher) + ":" + eventType
}

// Source implements transport.Names: exchange, routing key and queue.
func (t *Transport) Source(q transport.Queue) string {
	return t.Destination(q.Publisher, q.Type) + ":" + QueueName(q)
}
