package payment

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
)

// Config is what the service is told by the environment, see chassis.ParseEnv.
type Config struct {
	chassis.Config
	// StripeURL is the card processor: Stripe, or one that speaks its language.
	StripeURL string `env:"STRIPE_URL" envDefault:"https://api.stripe.com"`
	// StripeKey is the secret API key, sk_test_… or sk_live_…. Required.
	StripeKey chassis.Secret `env:"STRIPE_KEY"`
	// StripeTimeout bounds one call, 15 s at most.
	StripeTimeout time.Duration `env:"STRIPE_TIMEOUT" envDefault:"10s"`
}

// maxStripeTimeout lets a charge's calls, made one after the other, fit into its reaction's time-out.
const maxStripeTimeout = 15 * time.Second

// Defaults are the settings that are not the chassis' defaults.
func Defaults() Config { return Config{Config: chassis.Config{HTTPAddr: ":8083"}} }

// Validate reports what is wrong with the service's own settings.
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
