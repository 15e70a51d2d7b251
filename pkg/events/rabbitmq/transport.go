// Package rabbitmq carries events over RabbitMQ, 3.10 or later and 4.x.
//
// What it promises:
//
//   - A message counts as published when the broker has confirmed it and not returned it. Everything else is an
//     error; where the outcome is unknown (connection lost, no answer in time) the caller sends again, so the broker
//     may have it twice.
//   - A delivery is acknowledged after its verdict has been carried out, on the channel it came from. One to be
//     retried, or dead, is published to its rung or dead-letter queue and confirmed there before that, so a crash in
//     between duplicates it and never loses it.
//   - Attempts are counted in the header retry-attempt, not by the broker: a delivery that a crash or a lost
//     connection brings again has spent none.
//
// What it does about failures:
//
//   - It makes new connections and channels itself; amqp091-go's recovery stays off, since it reopens the same
//     channel, and a late acknowledgement could then settle another message. Publishing and consuming have separate
//     connections, so a broker that blocks publishers does not block acknowledgements.
//   - Publish connects when it has to, fails at once if it cannot, and leaves the waiting to its caller. If the
//     broker closes the channel over a message, what is unresolved is sent again one by one on a connection of its
//     own, so that only the culprit is refused.
//   - Each consumer is supervised by itself and resubscribes for ever, with growing pauses; what is wrong is logged,
//     not more than once in ten seconds each.
//   - A socket that takes no bytes fails by its write deadline, one that brings none by its heartbeat.
//
// The topology must exist before it is used: Apply declares it, Check names what is missing.
package rabbitmq

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Config is how patient the transport is, and how it introduces itself. The zero value works.
type Config struct {
	// Name shows in the broker's lists of connections and consumers: "inventory/7f3a". Default: "quadrille".
	Name string
	// CAFile names a PEM file with the authorities that may vouch for the broker, instead of the system's. It is read
	// by New, and goes with amqps addresses only.
	CAFile string
	// TLS is for amqps addresses, for what CAFile does not say. Default: TLS 1.2 or later, the system's certificates or
	// what the address's query names, the address's host as the broker's name.
	TLS *tls.Config
	// DialTimeout bounds the connection to one address, handshake included. Default: 10s.
	DialTimeout time.Duration
	// Heartbeat finds a dead peer within one and a half times its length, in whole seconds. Default: 10s.
	Heartbeat time.Duration
	// WriteTimeout bounds one write to the socket. Default: 10s.
	WriteTimeout time.Duration
	// ConfirmTimeout bounds the wait for the confirms of one batch, retries and dead letters included; the context
	// given to Publish may end it earlier. Default: 15s.
	ConfirmTimeout time.Duration
	// Logger receives what goes wrong with consumers. Default: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	for _, f := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
		least time.Duration
	}{
		{"DialTimeout", &c.DialTimeout, 10 * time.Second, time.Millisecond},
		{"Heartbeat", &c.Heartbeat, 10 * time.Second, time.Second},
		{"WriteTimeout", &c.WriteTimeout, 10 * time.Second, time.Millisecond},
		{"ConfirmTimeout", &c.ConfirmTimeout, 15 * time.Second, time.Millisecond},
	} {
		if *f.value == 0 {
			*f.value = f.def
		}
		if *f.value < f.least {
			errs = append(errs, fmt.Errorf("%s is %v, less than %v", f.name, *f.value, f.least))
		}
	}
	if c.Name == "" {
		c.Name = "quadrille"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, errors.Join(errs...)
}

// Transport is transport.Transport on RabbitMQ. Make it with New.
type Transport struct {
	cfg       Config
	dialer    *dialer
	publisher *publisher
}

var _ transport.Transport = (*Transport)(nil)

// New checks its arguments, all of them, and does not connect. address is an AMQP URL, or several with commas
// between for the nodes of a cluster, of which any that answers is used.
func New(address string, cfg Config) (*Transport, error) {
	cfg, err := cfg.withDefaults()
	errs := []error{err}
	urls := strings.Split(address, ",")
	for i, u := range urls {
		urls[i] = strings.TrimSpace(u)
		if uri, err := amqp.ParseURI(urls[i]); err != nil {
			errs = append(errs, fmt.Errorf("address %d: %w", i+1, withoutSecret(err)))
		} else if cfg.CAFile != "" && uri.Scheme != "amqps" {
			errs = append(errs, fmt.Errorf("address %d: a CA file goes with amqps, not %s", i+1, uri.Scheme))
		}
	}
	if cfg.CAFile != "" {
		cfg.TLS, err = trusting(cfg.CAFile, cfg.TLS)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("rabbitmq: configuration: %w", err)
	}
	d := &dialer{urls: urls, cfg: cfg}
	return &Transport{cfg: cfg, dialer: d, publisher: newPublisher(d)}, nil
}

// trusting is cfg, or a new one, with the authorities in file.
func trusting(file string, cfg *tls.Config) (*tls.Config, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("CA file: %s holds no certificate in PEM", file)
	}
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg = cfg.Clone()
	cfg.RootCAs = pool
	return cfg, nil
}

// withoutSecret takes the address, which may hold a password, out of an error.
func withoutSecret(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Publish implements transport.Transport. An exchange that does not exist is ErrUnroutable for every message to it,
// mandatory or not; one that may not be written to is ErrTopology.
func (t *Transport) Publish(ctx context.Context, msgs []transport.Message) []error {
	letters := make([]*message, len(msgs))
	for i, m := range msgs {
		letters[i] = newMessage(m)
	}
	t.publisher.publish(ctx, letters)
	errs := make([]error, len(letters))
	for i, l := range letters {
		errs[i] = l.err
	}
	return errs
}

// Close implements transport.Transport. Publish fails from then on; Consume is ended by its context.
func (t *Transport) Close() error {
	t.publisher.close()
	return nil
}
