package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/services/payment"
	"github.com/quadrille-dev/quadrille/services/shipping"
)

// stripeKey authenticates payment at the card processor's simulator.
var stripeKey = "sk_test_" + rand.Text()

// DefaultToken is the operators' token unless OPS_TOKEN is set.
const DefaultToken = "let-me-see"

// ignoredVariables are settings that Run determines itself.
var ignoredVariables = []string{
	"HTTP_ADDR", "DATABASE_URL", "MIGRATE_DATABASE_URL", "DATABASE_MAX_CONNS", "AMQP_URL", "AMQP_CA_FILE",
	"STRIPE_URL", "STRIPE_KEY", "CARRIER_URL", "CARRIER_WEBHOOK_SECRET",
}

// settings are the settings of all parts of the stack.
type settings struct {
	shared     chassis.Config
	order      order.Config
	inventory  inventory.Config
	payment    payment.Config
	shipping   shipping.Config
	simulators simulatorSettings
}

// simulatorSettings are those of the simulators. They are parsed like a service's.
type simulatorSettings struct {
	chassis.Config
	DispatchDelay time.Duration `env:"CARRIER_DISPATCH_DELAY"`
	DeliveryDelay time.Duration `env:"CARRIER_DELIVERY_DELAY"`
}

// Validate returns an error if the simulators' own settings are invalid.
func (s simulatorSettings) Validate() error {
	if s.DispatchDelay < 0 || s.DeliveryDelay < 0 {
		return errors.New("CARRIER_DISPATCH_DELAY and CARRIER_DELIVERY_DELAY must not be negative")
	}
	return nil
}

func parseSettings(environ []string) (s settings, err error) {
	environ = slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(ignoredVariables, name)
	})
	// The services require these settings. Nothing connects to these addresses.
	shared := chassis.Defaults("127.0.0.1:0")
	shared.DatabaseURL, shared.AMQPURL = "postgres://none.invalid/", "amqp://none.invalid/"
	shared.Events.Audit, shared.OpsToken = true, DefaultToken
	orders, stock, payments, shipments := order.Defaults(), inventory.Defaults(), payment.Defaults(), shipping.Defaults()
	orders.Config, stock.Config, payments.Config, shipments.Config = shared, shared, shared, shared
	stock.SeedCatalogue = true
	payments.StripeURL, payments.StripeKey = "http://none.invalid", chassis.Secret(stripeKey)
	shipments.CarrierURL, shipments.CarrierWebhookSecret = "http://none.invalid", "none"
	var errs [5]error
	s.order, errs[0] = chassis.ParseEnv(orders, environ)
	s.inventory, errs[1] = chassis.ParseEnv(stock, environ)
	s.payment, errs[2] = chassis.ParseEnv(payments, environ)
	s.shipping, errs[3] = chassis.ParseEnv(shipments, environ)
	s.simulators, errs[4] = chassis.ParseEnv(simulatorSettings{Config: shared, DispatchDelay: time.Second, DeliveryDelay: time.Second}, environ)
	s.shared = s.order.Config
	if s.inventory.SeedCatalogue {
		s.order.AwaitProducts = append(s.order.AwaitProducts, inventory.SeedSKUs()...)
	}

	// A mistake in a shared setting is reported once.
	var mistakes []string
	for _, err := range errs {
		if err != nil {
			mistakes = append(mistakes, strings.Split(err.Error(), "\n")...)
		}
	}
	slices.Sort(mistakes)
	if mistakes = slices.Compact(mistakes); len(mistakes) > 0 {
		return s, fmt.Errorf("settings: %s", strings.Join(mistakes, "; "))
	}
	return s, nil
}

type service struct {
	name string
	run  func(ctx context.Context, shared chassis.Config, db *gorm.DB, transport transport.Transport) error
}

// services returns the services, configured with the addresses of the simulators and the secret of the carrier's webhook.
func (s settings) services(at Addresses, secret string) []service {
	return []service{
		{"order", func(ctx context.Context, shared chassis.Config, db *gorm.DB, transport transport.Transport) error {
			cfg := s.order
			cfg.Config = shared
			return order.Run(ctx, cfg, db, transport)
		}},
		{"inventory", func(ctx context.Context, shared chassis.Config, db *gorm.DB, transport transport.Transport) error {
			cfg := s.inventory
			cfg.Config = shared
			return inventory.Run(ctx, cfg, db, transport)
		}},
		{"payment", func(ctx context.Context, shared chassis.Config, db *gorm.DB, transport transport.Transport) error {
			cfg := s.payment
			cfg.Config, cfg.StripeURL = shared, "http://"+at.Processor
			return payment.Run(ctx, cfg, db, transport)
		}},
		{"shipping", func(ctx context.Context, shared chassis.Config, db *gorm.DB, transport transport.Transport) error {
			cfg := s.shipping
			cfg.Config, cfg.CarrierURL, cfg.CarrierWebhookSecret = shared, "http://"+at.Carrier, chassis.Secret(secret)
			return shipping.Run(ctx, cfg, db, transport)
		}},
	}
}
