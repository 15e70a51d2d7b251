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

// Standing is a shop together with what it stands on, all of which a test may take away and give back.
type Standing struct {
	*Shop
	Open, Shut       func(t *testing.T) // the services, all at once; Open does not wait until they are ready
	Broker, Database server
	// New says that nothing has been started, nor declared on the broker.
	New bool
	// Longest is for how long to hold a server back: for longer than any pause between two attempts to reach it.
	Longest time.Duration
}

// server is one that can be away.
type server interface {
	Stop(t testing.TB)
	Start(t testing.TB)
}

// newStanding is a shop of processes on a broker and a database server that nobody else uses. Both are away, and neither
// has heard of the shop; only the simulators run.
func newStanding(t *testing.T) *Standing {
	t.Helper()
	broker, database := testservers.OwnBroker(t), testservers.OwnDatabase(t)
	servers, err := processServers(t, broker.URL(), database.URL())
	if err != nil {
		t.Fatal(err)
	}
	s, processes, err := processShop(filepath.Dir(shop.Quadrille), t.TempDir(), servers)
	if err != nil {
		t.Fatal(err)
	}
	s.promises = shop.promises.of(s)
	broker.Stop(t)
	database.Stop(t)
	sims := processes["simulators"]
	delete(processes, "simulators")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.lastLogs())
		}
		if err := endAll(processes); err != nil {
			t.Error(err)
		}
		if err := endAll(map[string]*process{"simulators": sims}); err != nil {
			t.Error(err)
		}
		if err := s.promises.err(); err != nil {
			t.Errorf("a service did not keep to its OpenAPI document: %v", err)
		}
		if told := s.told(); len(told) > 0 { // the suite looks at the shop that all share
			t.Errorf("what is private was told:\n%s", strings.Join(told, "\n"))
		}
	})
	if err := sims.start(); err != nil {
		t.Fatal(err)
	}
	return &Standing{
		Shop: s, Broker: broker, Database: database, New: true, Longest: 8 * time.Second,
		Open: func(t *testing.T) {
			t.Helper()
			if err := startAll(processes); err != nil {
				t.Fatal(err)
			}
		},
		Shut: func(t *testing.T) {
			t.Helper()
			if err := endAll(processes); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// lastLogs is how the services' logs end.
func (s *Shop) lastLogs() string {
	logs, err := s.ServiceLogs()
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(logs), "\n")
	return strings.Join(lines[max(0, len(lines)-200):], "\n")
}

// starts counts how often the services were started, by somebody or by themselves.
func (s *Standing) starts(t *testing.T) int {
	t.Helper()
	logs, err := s.ServiceLogs()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(logs, []byte(`"msg":"starting"`))
}

// ordering places orders, some each second, until its end, which answers all of them.
type ordering struct {
	stop chan struct{}
	all  sync.WaitGroup

	mu     sync.Mutex
	orders []string
}

func (s *Standing) keepOrdering(t *testing.T, sku string) *ordering {
	o := &ordering{stop: make(chan struct{})}
	for range 2 {
		o.all.Go(func() {
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for {
				id := s.place(t, orderOf(sku, 1))
				o.mu.Lock()
				o.orders = append(o.orders, id)
				o.mu.Unlock()
				select {
				case <-o.stop:
					return
				case <-tick.C:
				}
			}
		})
	}
	return o
}

func (o *ordering) placed() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.orders)
}

func (o *ordering) end() []string {
	close(o.stop)
	o.all.Wait()
	return o.orders
}
