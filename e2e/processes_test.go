package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// process is one program of a stack of processes.
type process struct {
	name    string
	path    string
	env     []string
	log     string
	mu      sync.Mutex
	running *exec.Cmd
}

// start starts the program with its own settings and these.
func (p *process) start(settings ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		return fmt.Errorf("start %s: already running", p.name)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.path)
	cmd.Env = append(append(os.Environ(), p.env...), settings...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.running = cmd
	return nil
}

// stop sends the signal and waits until the program ends. An error means that it did not end cleanly.
func (p *process) stop(signal os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return nil
	}
	if err := p.running.Process.Signal(signal); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	err := p.running.Wait()
	p.running = nil
	if signal == syscall.SIGKILL {
		return nil
	}
	return err
}

// retryDelays are shorter than the defaults, so that retries take little time.
const retryDelays = "100ms,200ms,500ms,1s,2s,5s"

// leaseTTL is shorter than the default, because a killed service relays events again only when its old lease has expired.
const leaseTTL = "2s"

// processStack builds all programs and starts them on servers of package testservers.
func processStack(ctx context.Context) (_ *Stack, stop func(), err error) {
	var cleanups []func()
	stop = func() {
		for _, cleanup := range slices.Backward(cleanups) {
			cleanup()
		}
	}
	dir, err := os.MkdirTemp("", "quadrille-e2e-")
	if err != nil {
		return nil, stop, err
	}
	programs := []string{"simulators/cmd/simulators", "cmd/quadrille"}
	for _, service := range serviceNames {
		programs = append(programs, "services/"+service+"/cmd/"+service)
	}
	if err := build(ctx, dir, programs...); err != nil {
		return nil, stop, err
	}

	suite := &suiteTB{cleanup: func(f func()) { cleanups = append(cleanups, f) }}
	servers, err := processServers(suite, testservers.AMQP(suite), testservers.OwnDatabase(suite).URL())
	if err != nil {
		return nil, stop, err
	}
	if err := applyTopology(ctx, filepath.Join(dir, "quadrille"), servers); err != nil {
		return nil, stop, err
	}
	s, processes, err := newProcessStack(dir, dir, servers)
	if err != nil {
		return nil, stop, err
	}
	s.OwnStack = newOwnStack
	cleanups = append(cleanups, func() {
		if err := stopAll(processes); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
		}
	})
	return s, stop, startAll(processes)
}

// applyTopology declares exchanges and queues. It waits until the broker is reachable.
func applyTopology(ctx context.Context, program string, servers Servers) error {
	apply := exec.CommandContext(ctx, program, "topology", "apply")
	apply.Env = append(os.Environ(), "AMQP_URL="+servers.Broker["topology"], "RETRY_DELAYS="+retryDelays)
	if out, err := apply.CombinedOutput(); err != nil {
		return fmt.Errorf("topology apply: %w\n%s", err, out)
	}
	return nil
}

// newProcessStack returns a stack of the programs in dir, on free ports and on these servers. No process is started. Logs and
// the simulators' journals go to the folder logs.
func newProcessStack(dir, logs string, servers Servers) (*Stack, map[string]*process, error) {
	ports, err := freePorts(8)
	if err != nil {
		return nil, nil, err
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	const token, key, secret = "e2e-token", "sk_test_e2e", "e2e-carrier-secret"
	env := map[string][]string{
		"order":     {"HTTP_ADDR=" + at(0), "ORDER_AWAIT_PRODUCTS=dance-shoes,fan,gloves,score,violin,chandelier"},
		"inventory": {"HTTP_ADDR=" + at(1), "SEED_CATALOGUE=true"},
		"payment":   {"HTTP_ADDR=" + at(2), "STRIPE_URL=http://" + at(4), "STRIPE_KEY=" + key},
		"shipping":  {"HTTP_ADDR=" + at(3), "CARRIER_URL=http://" + at(5), "CARRIER_WEBHOOK_SECRET=" + secret},
		"simulators": {
			"PROCESSOR_ADDR=" + at(4), "CARRIER_ADDR=" + at(5), "PROCESSOR_OPS_ADDR=" + at(6), "CARRIER_OPS_ADDR=" + at(7),
			"DATA_DIR=" + filepath.Join(logs, "journals"), "PROCESSOR_KEY=" + key, "CARRIER_WEBHOOK_SECRET=" + secret,
			"CARRIER_WEBHOOK_URL=http://" + at(3) + "/webhooks/carrier",
			"CARRIER_DISPATCH_DELAY=50ms", "CARRIER_DELIVERY_DELAY=50ms",
		},
	}
	for _, service := range serviceNames {
		env[service] = slices.Concat(env[service], servers.settings(service), spanSettings(), []string{
			"RETRY_DELAYS=" + retryDelays, "EVENTS_AUDIT=true", "EVENTS_LEASE_TTL=" + leaseTTL,
		})
	}
	processes := map[string]*process{}
	for name, vars := range env {
		processes[name] = &process{
			name: name, path: filepath.Join(dir, name), log: filepath.Join(logs, name+".log"),
			env: append(vars, "OPS_TOKEN="+token),
		}
	}
	http := func(i int) string { return "http://" + at(i) }
	return &Stack{
		Order: http(0), Inventory: http(1), Payment: http(2), Shipping: http(3), Processor: http(6), Carrier: http(7), Token: token,
		Servers: servers, RetryDelays: retryDelays,
		Kill:  func(name string) error { return processes[name].stop(syscall.SIGKILL) },
		Start: func(name string) error { return processes[name].start() },
		Restart: func(name string, env ...string) error {
			return errors.Join(processes[name].stop(syscall.SIGTERM), processes[name].start(env...))
		},
		Logs: logs,
		ServiceLogs: func() ([]byte, error) {
			var all []byte
			for _, service := range serviceNames {
				log, err := os.ReadFile(processes[service].log)
				if err != nil && !os.IsNotExist(err) { // the service was not started yet
					return nil, err
				}
				all = append(all, log...)
			}
			return all, nil
		},
		Quadrille: filepath.Join(dir, "quadrille"),
	}, processes, nil
}

func startAll(processes map[string]*process) error {
	var errs []error
	for p := range maps.Values(processes) {
		errs = append(errs, p.start())
	}
	return errors.Join(errs...)
}

// stopAll stops all processes at the same time, as an orchestrator does.
func stopAll(processes map[string]*process) error {
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for p := range maps.Values(processes) {
		all.Go(func() {
			if err := p.stop(syscall.SIGTERM); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s did not stop cleanly: %w; its log is %s", p.name, err, p.log))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// build builds the programs of these packages into dir.
func build(ctx context.Context, dir string, packages ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	args := []string{"build", "-o", dir}
	for _, path := range packages {
		args = append(args, "./"+path)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %v: %w\n%s", packages, err, bytes.TrimSpace(out))
	}
	return nil
}

// suiteTB lets package testservers clean up at the end of the suite instead of a test.
type suiteTB struct {
	testing.TB
	cleanup func(func())
}

func (s *suiteTB) Helper()                   {}
func (s *suiteTB) Name() string              { return "e2e" }
func (s *suiteTB) Cleanup(f func())          { s.cleanup(f) }
func (s *suiteTB) Context() context.Context  { return context.Background() }
func (s *suiteTB) Logf(f string, a ...any)   { fmt.Fprintf(os.Stderr, "e2e: "+f+"\n", a...) }
func (s *suiteTB) Errorf(f string, a ...any) { s.Logf(f, a...) }
func (s *suiteTB) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (s *suiteTB) Fatal(a ...any)            { panic(fmt.Sprint(a...)) }

// freePorts returns distinct ports that are not in use. It keeps all of them open until it has found the last one.
func freePorts(n int) (ports []int, err error) {
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
	}()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
