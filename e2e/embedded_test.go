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

// embeddedProcess is quadrille up as a process, on the same ports and in the same folder at every start.
type embeddedProcess struct {
	program, dir string

	mu      sync.Mutex
	running *exec.Cmd
	ports   []string // flags that name those of the first start
}

// embeddedOpening is what quadrille up says once it is open.
type embeddedOpening struct {
	Order, Inventory, Payment, Shipping string
	Processor, Carrier, Broker, Token   string
	Addresses                           map[string]string
}

// start runs the program and returns once the shop is open.
func (p *embeddedProcess) start(args []string, settings ...string) (o embeddedOpening, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(p.dir, "quadrille.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return o, err
	}
	defer log.Close()
	args = append([]string{"up", "--json", "--free-ports", "--data", filepath.Join(p.dir, "data")}, args...)
	cmd := exec.Command(p.program, append(args, p.ports...)...)
	cmd.Env = append(append(os.Environ(),
		"RETRY_DELAYS="+delays, "CARRIER_DISPATCH_DELAY=50ms", "CARRIER_DELIVERY_DELAY=50ms", "OPS_TOKEN=e2e-token",
		"LOG_LEVEL=info", "LOG_FORMAT=json"), append(exporting(), settings...)...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return o, err
	}
	if err := cmd.Start(); err != nil {
		return o, err
	}
	hangs := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	hangs.Stop()
	if err == nil {
		err = json.Unmarshal(line, &o)
	}
	if err != nil {
		err = errors.Join(err, cmd.Process.Kill(), cmd.Wait())
		return o, fmt.Errorf("quadrille up did not open: %w (log: %s)", err, log.Name())
	}
	p.running = cmd
	if p.ports == nil {
		for flag, address := range o.Addresses {
			p.ports = append(p.ports, "--"+flag, address)
		}
	}
	return o, nil
}

func (p *embeddedProcess) end(signal os.Signal) error {
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

// embeddedShop is all in one process, so that whoever is killed, everybody is. If it was a service, the others come
// back at once; it stays away until it is started.
func embeddedShop(ctx context.Context) (_ *Shop, stop func(), err error) {
	dir, err := os.MkdirTemp("", "quadrille-e2e-")
	if err != nil {
		return nil, nil, err
	}
	p := &embeddedProcess{program: filepath.Join(dir, "quadrille"), dir: dir}
	stop = func() {
		if err := p.end(syscall.SIGTERM); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: quadrille up did not stop cleanly: %v; its log is in %s\n", err, dir)
		}
	}
	if err := build(ctx, dir, map[string]string{"quadrille": "cmd/quadrille"}); err != nil {
		return nil, stop, err
	}
	o, err := p.start(nil)
	if err != nil {
		return nil, stop, err
	}
	return &Shop{
		Order: o.Order, Inventory: o.Inventory, Payment: o.Payment, Shipping: o.Shipping,
		Processor: o.Processor, Carrier: o.Carrier, Broker: o.Broker, Token: o.Token, RetryLadder: delays,
		Kill: func(name string) error {
			err := p.end(syscall.SIGKILL)
			if slices.Contains(serviceNames, name) {
				_, startErr := p.start([]string{"--without", name})
				err = errors.Join(err, startErr)
			}
			return err
		},
		Start: func(string) error {
			err := p.end(syscall.SIGTERM)
			_, startErr := p.start(nil)
			return errors.Join(err, startErr)
		},
		Restart: func(_ string, settings ...string) error {
			err := p.end(syscall.SIGTERM)
			_, startErr := p.start(nil, settings...)
			return errors.Join(err, startErr)
		},
		Logs: dir, ServiceLogs: func() ([]byte, error) { return os.ReadFile(filepath.Join(dir, "quadrille.log")) },
		Quadrille: p.program,
	}, stop, nil
}
