package inventory

import "github.com/quadrille-dev/quadrille/pkg/chassis"

// Config is what the service is told by the environment.
type Config struct {
	chassis.Config
	// SeedCatalogue fills the catalogue with a few products when the service starts. "on" or "off".
	SeedCatalogue bool `env:"SEED_CATALOGUE" envDefault:"false"`
}

// Defaults is what the environment need not say.
func Defaults() Config { return Config{Config: chassis.Config{HTTPAddr: ":8082"}} }
