package rabbitmq

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Config configures the transport. The zero value works.
type Config struct {
	// Name appears in the broker's lists of connections and consumers: "inventory/7f3a". Default: the program's name.
	Name string
	// CAFile is a PEM file with the certificate authorities that the broker's certificate is verified with, instead of
	// the system's. New reads it. It requires amqps addresses.
	CAFile string
	// TLS configures amqps connections in more detail; CAFile overrides its RootCAs. Default: TLS 1.2 or later, the
	// system's authorities or those in the address's query, the address's host as the server name.
	TLS *tls.Config
	// DialTimeout bounds the connection to one address, handshake included. Default: 10s.
	DialTimeout time.Duration
	// Heartbeat is the interval of heartbeats, in whole seconds. A dead peer is detected within one and a half of it.
	// Default: 10s.
	Heartbeat time.Duration
	// WriteTimeout bounds one write to the socket. Default: 10s.
	WriteTimeout time.Duration
	// ConfirmTimeout bounds the wait for the confirms of one batch, for retries and dead letters too. The context given
	// to Publish may end it earlier. Default: 15s.
	ConfirmTimeout time.Duration
	// Logger receives errors of consumers. Default: slog.Default().
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
		c.Name = filepath.Base(os.Args[0])
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, errors.Join(errs...)
}

// trusting returns a copy of cfg with the authorities in file.
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
