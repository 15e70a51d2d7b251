package order

import (
	"errors"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
)

// Config is what the service is told by the environment, see chassis.ParseEnv.
type Config struct {
	chassis.Config
	// PaymentDeadline is how long an order may stay unpaid before its cancellation is asked for.
	PaymentDeadline time.Duration `env:"ORDER_PAYMENT_DEADLINE" envDefault:"15m"`
}

// Defaults are the settings that are not the chassis' defaults.
func Defaults() Config { return Config{Config: chassis.Config{HTTPAddr: ":8081"}} }

// Validate reports what is wrong with the service's own settings.
func (c Config) Validate() error {
	if c.PaymentDeadline <= 0 {
		return errors.New("ORDER_PAYMENT_DEADLINE must be positive")
	}
	return nil
}
