package order

import (
	"errors"
	"fmt"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
)

// Config holds the settings of the service, see [chassis.ParseEnv].
type Config struct {
	chassis.Config
	// PaymentDeadline is how long an order may stay unpaid before its cancellation is requested.
	PaymentDeadline time.Duration `env:"ORDER_PAYMENT_DEADLINE"`
	// StalledAfter is how long an order may wait on a service before order.stalled is published.
	StalledAfter time.Duration `env:"ORDER_STALLED_AFTER"`
	// CarrierStalledAfter is the same for the dispatch and the delivery by the carrier.
	CarrierStalledAfter time.Duration `env:"ORDER_CARRIER_STALLED_AFTER"`
	// AwaitProducts lists SKUs. The service is ready once it has received these products.
	AwaitProducts []string `env:"ORDER_AWAIT_PRODUCTS"`
}

// Defaults returns the settings of a service whose environment sets only what is required.
func Defaults() Config {
	return Config{
		Config:          chassis.Defaults(":8081"),
		PaymentDeadline: 15 * time.Minute, StalledAfter: 30 * time.Minute, CarrierStalledAfter: 7 * 24 * time.Hour,
	}
}

// Validate reports the mistakes in the settings of this service.
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
