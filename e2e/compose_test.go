package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// composeShop is what docker compose runs, on the ports of docker-compose.yml unless the environment says otherwise.
func composeShop(context.Context) (*Shop, func(), error) {
	url := func(name, def string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return def
	}
	compose := func(args ...string) error {
		out, err := exec.Command("docker", append([]string{"compose", "--project-directory", ".."}, args...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("docker compose %v: %w\n%s", args, err, out)
		}
		return nil
	}
	return &Shop{
		Order:     url("ORDER_URL", "http://127.0.0.1:8081"),
		Inventory: url("INVENTORY_URL", "http://127.0.0.1:8082"),
		Payment:   url("PAYMENT_URL", "http://127.0.0.1:8083"),
		Shipping:  url("SHIPPING_URL", "http://127.0.0.1:8084"),
		Processor: url("PROCESSOR_OPS_URL", "http://127.0.0.1:8093"),
		Carrier:   url("CARRIER_OPS_URL", "http://127.0.0.1:8094"),
		Token:     url("OPS_TOKEN", "let-me-see"),
		Kill:      func(name string) error { return compose("kill", "-s", "KILL", name) },
		Start:     func(name string) error { return compose("start", name) },
	}, nil, nil
}
