package shipping

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
	// CarrierURL is the base URL of the carrier's API. Required.
	CarrierURL string `env:"CARRIER_URL"`
	// CarrierTimeout bounds one call, 20 s at most.
	CarrierTimeout time.Duration `env:"CARRIER_TIMEOUT"`
	// CarrierWebhookSecret is the secret with which the carrier signs its webhooks. Required.
	CarrierWebhookSecret chassis.Secret `env:"CARRIER_WEBHOOK_SECRET"`
}

// maxCarrierTimeout lets a call end within the timeout of its handler.
const maxCarrierTimeout = 20 * time.Second

// Defaults returns the settings of a service whose environment sets only what is required.
func Defaults() Config {
	return Config{Config: chassis.Defaults(":8084"), CarrierTimeout: 10 * time.Second}
}

// Validate reports the mistakes in the settings of this service.
func (c Config) Validate() error {
	var errs []error
	if u, err := url.Parse(c.CarrierURL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		errs = append(errs, errors.New("CARRIER_URL must be a URL that begins with https:// or http://"))
	}
	if c.CarrierTimeout <= 0 || c.CarrierTimeout > maxCarrierTimeout {
		errs = append(errs, fmt.Errorf("CARRIER_TIMEOUT must be positive, %v at most", maxCarrierTimeout))
	}
	if c.CarrierWebhookSecret.Reveal() == "" {
		errs = append(errs, errors.New("CARRIER_WEBHOOK_SECRET is required"))
	}
	return errors.Join(errs...)
}
