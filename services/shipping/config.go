package shipping

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
	// CarrierURL is where the carrier answers. Required.
	CarrierURL string `env:"CARRIER_URL"`
	// CarrierTimeout bounds one call, 20 s at most.
	CarrierTimeout time.Duration `env:"CARRIER_TIMEOUT" envDefault:"10s"`
	// CarrierWebhookSecret is shared with the carrier, who signs its notices with it. Required.
	CarrierWebhookSecret chassis.Secret `env:"CARRIER_WEBHOOK_SECRET"`
}

// maxCarrierTimeout lets a call end within the time-out of its reaction.
const maxCarrierTimeout = 20 * time.Second

// Defaults are the settings that are not the chassis' defaults.
func Defaults() Config { return Config{Config: chassis.Config{HTTPAddr: ":8084"}} }

// Validate reports what is wrong with the service's own settings.
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
