package e2e

import (
	"bytes"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// OwnStack is a stack with a broker and a database server that a test may stop and start.
type OwnStack struct {
	*Stack
	StartServices    func(t *testing.T) // starts all services and does not wait until they are ready
	StopServices     func(t *testing.T)
	Broker, Database server
	// New means that both servers are stopped, no service was ever started, and nothing is declared on the broker.
	New bool
	// OutageDuration is for how long a test keeps a server stopped: longer than any delay between two connection attempts.
	OutageDuration time.Duration
}

// server is a server that can be stopped.
type server interface {
	Stop(t testing.TB)
	Start(t testing.TB)
}

// newOwnStack returns a stack of processes on servers of its own. Only the simulators are running.
func newOwnStack(t *testing.T) *OwnStack {
	t.Helper()
	broker, database := testservers.OwnBroker(t), testservers.OwnDatabase(t)
	servers, err := processServers(t, broker.URL(), database.URL())
	if err != nil {
		t.Fatal(err)
	}
	s, processes, err := newProcessStack(filepath.Dir(stack.Quadrille), t.TempDir(), servers)
	if err != nil {
		t.Fatal(err)
	}
	s.contracts = stack.contracts.forStack(s)
	broker.Stop(t)
	database.Stop(t)
	simulators := processes["simulators"]
	delete(processes, "simulators")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.lastLogs())
		}
		if err := stopAll(processes); err != nil {
			t.Error(err)
		}
		if err := stopAll(map[string]*process{"simulators": simulators}); err != nil {
			t.Error(err)
		}
		// The suite checks the same of the shared stack.
		if err := s.contracts.err(); err != nil {
			t.Errorf("a service violated its OpenAPI document: %v", err)
		}
		if leaks := s.leaks(); len(leaks) > 0 {
			t.Errorf("private data was found:\n%s", strings.Join(leaks, "\n"))
		}
	})
	if err := simulators.start(); err != nil {
		t.Fatal(err)
	}
	return &OwnStack{
		Stack: s, Broker: broker, Database: database, New: true, OutageDuration: 8 * time.Second,
		StartServices: func(t *testing.T) {
			t.Helper()
			if err := startAll(processes); err != nil {
				t.Fatal(err)
			}
		},
		StopServices: func(t *testing.T) {
			t.Helper()
			if err := stopAll(processes); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// lastLogs returns the last lines of the services' logs.
func (s *Stack) lastLogs() string {
	logs, err := s.ServiceLogs()
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(logs), "\n")
	return strings.Join(lines[max(0, len(lines)-200):], "\n")
}

// starts returns how often services were started, by the test or after a crash.
func (s *OwnStack) starts(t *testing.T) int {
	t.Helper()
	logs, err := s.ServiceLogs()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(logs, []byte(`"msg":"starting"`))
}

// orderFlow places several orders each second.
type orderFlow struct {
	stop    chan struct{}
	clients sync.WaitGroup

	mu     sync.Mutex
	orders []string
}

// startOrderFlow places orders until end.
func (s *OwnStack) startOrderFlow(t *testing.T, sku string) *orderFlow {
	f := &orderFlow{stop: make(chan struct{})}
	for range 2 {
		f.clients.Go(func() {
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for {
				id := s.place(t, newOrder(sku, 1))
				f.mu.Lock()
				f.orders = append(f.orders, id)
				f.mu.Unlock()
				select {
				case <-f.stop:
					return
				case <-tick.C:
				}
			}
		})
	}
	return f
}

// placed returns the number of orders so far.
func (f *orderFlow) placed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.orders)
}

// end stops the flow and returns all orders.
func (f *orderFlow) end() []string {
	close(f.stop)
	f.clients.Wait()
	return f.orders
}
