package servicetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
)

// environ is what every service needs.
var environ = []string{"DATABASE_URL=postgres://localhost/service", "AMQP_URL=amqp://localhost"}

// ParseEnv returns the configuration in an environment that has these variables and those that every service needs.
func ParseEnv[T any, P chassis.Configured[T]](t *testing.T, defaults T, variables ...string) T {
	t.Helper()
	cfg, err := chassis.ParseEnv[T, P](defaults, slices.Concat(environ, variables))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// WantConfigErrors checks that each of these variables, added to what the service needs, is rejected by an error that
// names it and no other.
func WantConfigErrors[T any, P chassis.Configured[T]](t *testing.T, defaults T, needed []string, wrong ...string) {
	t.Helper()
	for _, variable := range wrong {
		name, _, _ := strings.Cut(variable, "=")
		_, err := chassis.ParseEnv[T, P](defaults, slices.Concat(environ, needed, []string{variable}))
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", variable, err)
		}
	}
}
