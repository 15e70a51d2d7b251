package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// composeShop is what docker compose runs, on the ports of docker-compose.yml unless the environment says otherwise.
func composeShop(ctx context.Context) (*Shop, func(), error) {
	dir, err := os.MkdirTemp("", "quadrille-e2e-")
	if err != nil {
		return nil, nil, err
	}
	stop := func() { _ = os.RemoveAll(dir) }
	if err := build(ctx, dir, map[string]string{"quadrille": "cmd/quadrille"}); err != nil {
		return nil, stop, err
	}
	starved, err := watchMemory()
	if err != nil {
		return nil, stop, err
	}
	stop = func() {
		starved()
		_ = os.RemoveAll(dir)
	}
	url := func(name, def string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return def
	}
	compose := func(env []string, args ...string) error {
		cmd := exec.Command("docker", append(append([]string{"compose", "--project-directory", ".."}, composeFiles()...), args...)...)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
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
		Servers:   composeServers(),
		Kill:      func(name string) error { return compose(nil, "kill", "-s", "KILL", name) },
		Start:     func(name string) error { return compose(nil, "start", name) },
		Restart: func(name string, env ...string) error {
			return compose(env, "up", "--detach", "--no-build", "--no-deps", "--wait", name)
		},
		Starved:   starved,
		Quadrille: filepath.Join(dir, "quadrille"),
	}, stop, nil
}
