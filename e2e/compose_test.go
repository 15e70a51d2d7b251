package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// composeStack returns the stack that docker compose runs, on the ports of docker-compose.yml or of the environment.
func composeStack(ctx context.Context) (*Stack, func(), error) {
	dir, err := os.MkdirTemp("", "quadrille-e2e-")
	if err != nil {
		return nil, nil, err
	}
	stop := func() { _ = os.RemoveAll(dir) }
	if err := build(ctx, dir, "cmd/quadrille"); err != nil {
		return nil, stop, err
	}
	outOfMemory, err := watchMemory()
	if err != nil {
		return nil, stop, err
	}
	stop = func() {
		outOfMemory()
		_ = os.RemoveAll(dir)
	}
	url := func(name, def string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return def
	}
	// The services run as docker-compose.yml defines them, but send their spans to this suite.
	compose := func(env []string, args ...string) ([]byte, error) {
		args = append(append(composeFiles(), "-f", "testdata/compose.spans.yml"), args...)
		cmd := exec.Command("docker", append([]string{"compose", "--project-directory", ".."}, args...)...)
		cmd.Env = append(append(os.Environ(), fmt.Sprintf("OTEL_EXPORTER_OTLP_ENDPOINT=http://host.docker.internal:%d", spans.Port())), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("docker compose %v: %w\n%s", args, err, out)
		}
		return out, nil
	}
	up := append([]string{"up", "--detach", "--no-build", "--no-deps", "--wait"}, serviceNames...)
	if _, err := compose(nil, up...); err != nil {
		return nil, stop, err
	}
	stop = func() {
		cmd := exec.Command("docker", append(append([]string{"compose", "--project-directory", ".."}, composeFiles()...), up...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: cannot restore the configuration of the services: %v\n%s", err, out)
		}
		_ = os.RemoveAll(dir)
	}
	s := &Stack{
		Order:     url("ORDER_URL", "http://127.0.0.1:8081"),
		Inventory: url("INVENTORY_URL", "http://127.0.0.1:8082"),
		Payment:   url("PAYMENT_URL", "http://127.0.0.1:8083"),
		Shipping:  url("SHIPPING_URL", "http://127.0.0.1:8084"),
		Processor: url("PROCESSOR_OPS_URL", "http://127.0.0.1:8093"),
		Carrier:   url("CARRIER_OPS_URL", "http://127.0.0.1:8094"),
		Token:     url("OPS_TOKEN", "let-me-see"),
		Servers:   composeServers(),
		Kill:      func(name string) error { _, err := compose(nil, "kill", "-s", "KILL", name); return err },
		Start:     func(name string) error { _, err := compose(nil, "start", name); return err },
		Restart: func(name string, env ...string) error {
			_, err := compose(env, "up", "--detach", "--no-build", "--no-deps", "--wait", name)
			return err
		},
		ServiceLogs: func() ([]byte, error) {
			return compose(nil, append([]string{"logs", "--no-color"}, serviceNames...)...)
		},
		OutOfMemory: outOfMemory,
		Quadrille:   filepath.Join(dir, "quadrille"),
	}
	s.OwnStack = func(t *testing.T) *OwnStack {
		run := func(args ...string) func(t *testing.T) {
			return func(t *testing.T) {
				t.Helper()
				if _, err := compose(nil, args...); err != nil {
					t.Fatal(err)
				}
			}
		}
		own := &OwnStack{
			Stack: s, Broker: container{"rabbitmq", compose}, Database: container{"postgres", compose}, OutageDuration: time.Minute,
			StartServices: run(append([]string{"up", "--detach", "--no-build", "--no-deps"}, serviceNames...)...),
			StopServices:  run(append([]string{"stop"}, serviceNames...)...),
		}
		t.Cleanup(func() { // other tests use the same stack
			own.Database.Start(t)
			own.Broker.Start(t)
			own.StartServices(t)
			if err := s.awaitReady(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		return own
	}
	return s, stop, nil
}

// container is a server that compose runs.
type container struct {
	name    string
	compose func(env []string, args ...string) ([]byte, error)
}

// Stop implements server.
func (c container) Stop(t testing.TB) {
	t.Helper()
	if _, err := c.compose(nil, "stop", c.name); err != nil {
		t.Fatal(err)
	}
}

// Start implements server.
func (c container) Start(t testing.TB) {
	t.Helper()
	if _, err := c.compose(nil, "start", c.name); err != nil {
		t.Fatal(err)
	}
}

// receivingAddress returns the address at which the suite receives spans. Containers reach it at the address of Docker's
// bridge, or at the loopback address if Docker runs in a virtual machine.
func receivingAddress() string {
	if os.Getenv("QUADRILLE_E2E") == "compose" {
		bridge, err := exec.Command("docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}").Output()
		address := net.JoinHostPort(strings.TrimSpace(string(bridge)), "0")
		if err == nil {
			if l, err := net.Listen("tcp", address); err == nil {
				_ = l.Close()
				return address
			}
		}
	}
	return "127.0.0.1:0"
}
