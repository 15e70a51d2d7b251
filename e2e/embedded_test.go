package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// embeddedProcess runs quadrille up, at every start on the same ports and in the same folder.
type embeddedProcess struct {
	program, dir string

	mu      sync.Mutex
	running *exec.Cmd
	ports   []string // flags with the ports of the first start
}

// embeddedAddresses is what quadrille up prints when it is ready.
type embeddedAddresses struct {
	Order, Inventory, Payment, Shipping string
	Processor, Carrier, Broker, Token   string
	Addresses                           map[string]string
}

// start starts the program and blocks until it is ready.
func (p *embeddedProcess) start(args []string, settings ...string) (a embeddedAddresses, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(p.dir, "quadrille.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return a, err
	}
	defer log.Close()
	args = append([]string{"up", "--json", "--free-ports", "--data", filepath.Join(p.dir, "data")}, args...)
	cmd := exec.Command(p.program, append(args, p.ports...)...)
	cmd.Env = append(append(os.Environ(),
		"RETRY_DELAYS="+retryDelays, "EVENTS_LEASE_TTL="+leaseTTL, "CARRIER_DISPATCH_DELAY=50ms", "CARRIER_DELIVERY_DELAY=50ms", "OPS_TOKEN=e2e-token",
		"LOG_LEVEL=info", "LOG_FORMAT=json"), append(spanSettings(), settings...)...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return a, err
	}
	if err := cmd.Start(); err != nil {
		return a, err
	}
	timeout := time.AfterFunc(waitLimit, func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	timeout.Stop()
	if err == nil {
		err = json.Unmarshal(line, &a)
	}
	if err != nil {
		err = errors.Join(err, cmd.Process.Kill(), cmd.Wait())
		return a, fmt.Errorf("quadrille up is not ready: %w (log: %s)", err, log.Name())
	}
	p.running = cmd
	if p.ports == nil {
		for flag, address := range a.Addresses {
			p.ports = append(p.ports, "--"+flag, address)
		}
	}
	return a, nil
}

// stop sends the signal and waits until the program ends.
func (p *embeddedProcess) stop(signal os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return nil
	}
	if err := p.running.Process.Signal(signal); err != nil {
		return err
	}
	err := p.running.Wait()
	p.running = nil
	if signal == syscall.SIGKILL {
		return nil
	}
	return err
}

// embeddedStack starts a stack in one process. Kill kills the process, and so all services. If one service is to be killed,
// the process starts again without it.
func embeddedStack(ctx context.Context) (_ *Stack, stop func(), err error) {
	dir, err := os.MkdirTemp("", "quadrille-e2e-")
	if err != nil {
		return nil, nil, err
	}
	p := &embeddedProcess{program: filepath.Join(dir, "quadrille"), dir: dir}
	stop = func() {
		if err := p.stop(syscall.SIGTERM); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: quadrille up did not stop cleanly: %v; its log is in %s\n", err, dir)
		}
	}
	if err := build(ctx, dir, "cmd/quadrille"); err != nil {
		return nil, stop, err
	}
	a, err := p.start(nil)
	if err != nil {
		return nil, stop, err
	}
	return &Stack{
		Order: a.Order, Inventory: a.Inventory, Payment: a.Payment, Shipping: a.Shipping,
		Processor: a.Processor, Carrier: a.Carrier, Broker: a.Broker, Token: a.Token, RetryDelays: retryDelays,
		Kill: func(name string) error {
			err := p.stop(syscall.SIGKILL)
			if slices.Contains(serviceNames, name) {
				_, startErr := p.start([]string{"--without", name})
				err = errors.Join(err, startErr)
			}
			return err
		},
		Start: func(string) error {
			err := p.stop(syscall.SIGTERM)
			_, startErr := p.start(nil)
			return errors.Join(err, startErr)
		},
		Restart: func(_ string, settings ...string) error {
			err := p.stop(syscall.SIGTERM)
			_, startErr := p.start(nil, settings...)
			return errors.Join(err, startErr)
		},
		Logs: dir, ServiceLogs: func() ([]byte, error) { return os.ReadFile(filepath.Join(dir, "quadrille.log")) },
		Quadrille: p.program,
	}, stop, nil
}
