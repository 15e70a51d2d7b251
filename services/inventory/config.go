package inventory

import "github.com/quadrille-dev/quadrille/pkg/chassis"

// Config holds the settings of the service, see [chassis.ParseEnv].
type Config struct {
	chassis.Config
	// SeedCatalogue creates some products when the service starts.
	SeedCatalogue bool `env:"SEED_CATALOGUE"`
}

// Defaults returns the settings of a service whose environment sets only what is required.
func Defaults() Config { return Config{Config: chassis.Defaults(":8082")} }
