package order

import (
	"errors"
	"fmt"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
)

// Config is what the service is told by the environment, see chassis.ParseEnv.
type Config struct {
	chassis.Config
	// PaymentDeadline is how long an order may stay unpaid before its cancellation is asked for.
	PaymentDeadline time.Duration `env:"ORDER_PAYMENT_DEADLINE" envDefault:"15m"`
	// StalledAfter is how long an order may wait for one of the services before order.stalled says so.
	StalledAfter time.Duration `env:"ORDER_STALLED_AFTER" envDefault:"30m"`
	// CarrierStalledAfter is the same for what the carrier does: the hand-over and the delivery.
	CarrierStalledAfter time.Duration `env:"ORDER_CARRIER_STALLED_AFTER" envDefault:"168h"`
}

// Defaults are the settings that are not the chassis' defaults.
func Defaults() Config { return Config{Config: chassis.Config{HTTPAddr: ":8081"}} }

// Validate reports what is wrong with the service's own settings.
func (c Config) Validate() error {
	var errs []error
	for name, d := range map[string]time.Duration{
		"ORDER_PAYMENT_DEADLINE":      c.PaymentDeadline,
		"ORDER_STALLED_AFTER":         c.StalledAfter,
		"ORDER_CARRIER_STALLED_AFTER": c.CarrierStalledAfter,
	} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s must be positive", name))
		}
	}
	return errors.Join(errs...)
}
