package payment

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
)

// Config holds the settings of the service, see [chassis.ParseEnv].
type Config struct {
	chassis.Config
	// StripeURL is the card processor: Stripe, or a server with the same API.
	StripeURL string `env:"STRIPE_URL"`
	// StripeKey is the secret API key, sk_test_… or sk_live_…. Required.
	StripeKey chassis.Secret `env:"STRIPE_KEY"`
	// StripeTimeout bounds one call, 15 s at most.
	StripeTimeout time.Duration `env:"STRIPE_TIMEOUT"`
}

// maxStripeTimeout lets the calls of a charge, one after the other, fit into the timeout of its handler.
const maxStripeTimeout = 15 * time.Second

// Defaults returns the settings of a service whose environment sets only what is required.
func Defaults() Config {
	return Config{Config: chassis.Defaults(":8083"), StripeURL: "https://api.stripe.com", StripeTimeout: 10 * time.Second}
}

// Validate reports the mistakes in the settings of this service.
func (c Config) Validate() error {
	var errs []error
	if u, err := url.Parse(c.StripeURL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		errs = append(errs, errors.New("STRIPE_URL must be a URL that begins with https:// or http://"))
	}
	if c.StripeKey.Reveal() == "" {
		errs = append(errs, errors.New("STRIPE_KEY is required"))
	}
	if c.StripeTimeout <= 0 || c.StripeTimeout > maxStripeTimeout {
		errs = append(errs, fmt.Errorf("STRIPE_TIMEOUT must be positive, %v at most", maxStripeTimeout))
	}
	return errors.Join(errs...)
}
