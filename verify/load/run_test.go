package load

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// inVirtualTime runs the load with a clock that advances only while all goroutines sleep.
func inVirtualTime(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

func mustRun(t *testing.T, ctx context.Context, cfg Config) Summary {
	t.Helper()
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	s, err := Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRun_Stories(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		stack := &fakeStack{}
		cfg := calm(stack)
		var asked []string
		cfg.Reconcile = func(_ context.Context, orders []string) (reconcile.Report, error) {
			asked = orders
			return reconcile.Report{Clean: true}, nil
		}
		s := mustRun(t, t.Context(), cfg)

		want := map[string]map[string]int{
			"happy": {"completed": 350}, "declined": {"cancelled: card_declined": 50}, "out-of-stock": {"cancelled: out_of_stock": 50},
			"undeliverable": {"cancelled: undeliverable": 25}, "cancelled": {"cancelled: customer": 25},
		}
		got := map[string]map[string]int{}
		for _, c := range s.Stories {
			got[c.Story] = c.Outcomes
			if c.Accepted.Count != c.Orders || c.Accepted.Max > 0.001 {
				t.Errorf("%s: accepted at once: %+v", c.Story, c.Accepted)
			}
			if c.Story != "cancelled" && (c.Ended.P50 < 4 || c.Ended.Max > 4.5) {
				t.Errorf("%s: ended after four seconds, and seen soon after: %+v", c.Story, c.Ended)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if s.Status != 0 || s.Offered.PerSecond != 50 || s.Accepted.Orders != 500 || s.Ended.Orders != 500 || s.Late.Orders+s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
		if len(asked) != 500 || stack.deleted != productCount+1 {
			t.Errorf("%d orders were reconciled, %d products deleted", len(asked), stack.deleted)
		}
		if s.saturated() {
			t.Errorf("the stack keeps up: %+v", s.Ended)
		}
	})
}

func TestRun_SlowStack(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		stack := &fakeStack{respond: func(r *http.Request) (*http.Response, error) {
			if placing(r) {
				return wait(r, 3*time.Second)
			}
			return nil, nil
		}}
		s := mustRun(t, t.Context(), calm(stack))
		orders := stack.came[len(stack.came)-500:]
		for i, at := range orders {
			off := at.Sub(orders[0].Add(time.Duration(i) * 20 * time.Millisecond))
			if off.Abs() > time.Microsecond {
				t.Fatalf("order %d: %v off", i, off)
			}
		}
		if s.All.Accepted.P50 != 3 || s.All.Accepted.Max != 3 || s.Dropped != 0 {
			t.Errorf("every order takes three seconds: %+v", s.All.Accepted)
		}
	})
}

// A stack that pauses for two seconds delays every order of that time.
func TestRun_Pause(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		var until time.Time
		stack := &fakeStack{}
		stack.respond = func(r *http.Request) (*http.Response, error) {
			stack.mu.Lock()
			if len(stack.orders) == 250 && until.IsZero() {
				until = time.Now().Add(2 * time.Second)
			}
			stands := time.Until(until)
			stack.mu.Unlock()
			return wait(r, stands)
		}
		cfg := calm(stack)
		cfg.Mix = Mix{{"happy", 1}}
		s := mustRun(t, t.Context(), cfg)
		if got := s.All.Accepted; got.P50 > 0.001 || got.P90 < 0.9 || got.P90 > 1.1 || got.Max < 1.9 || got.Max > 2 {
			t.Errorf("a fifth of the customers should have waited up to two seconds: %+v", got)
		}
	})
}

// A delay of the generator is part of the latency.
func TestArrive_Late(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		stack := &fakeStack{}
		cfg := calm(stack)
		client := stackclient.NewWithTransport(cfg.Stack, stack)
		stock, err := createStock(t.Context(), client, "run", 10, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		c := newGenerator(cfg, "run", client, stock)
		for _, late := range []time.Duration{0, lateAfter, 70 * time.Millisecond, 30 * time.Millisecond} {
			c.arrive(t.Context(), time.Now().Add(-late))
		}
		c.customers.Wait()
		s := c.summary(time.Now(), time.Now(), 4, true)
		if s.Late != (Late{2, 0.07}) || s.All.Accepted.Max != 0.07 || s.All.Accepted.P50 != 0.01 {
			t.Errorf("%+v, %+v", s.Late, s.All.Accepted)
		}
	})
}

func TestRun_InFlight(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		var most atomic.Int64
		cfg := calm(&fakeStack{})
		cfg.InFlight, cfg.Interval = 100, 5*time.Millisecond
		cfg.Progress = func(p Progress) { most.Store(max(most.Load(), int64(p.Open))) }
		s := mustRun(t, t.Context(), cfg)
		// In ten seconds three times a hundred: each waits four.
		if s.Offered.Orders != 500 || s.Dropped < 200 || s.All.Orders+s.Dropped != 500 || most.Load() != 100 {
			t.Errorf("%d not sent, %d sent, at most %d open", s.Dropped, s.All.Orders, most.Load())
		}
		if s.Status != 0 {
			t.Errorf("nothing went wrong: %+v", s)
		}
	})
}

func TestRun_UnexpectedOutcomes(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		stack := &fakeStack{ends: func(req stackclient.OrderRequest) (o stackclient.Order, said bool) {
			return stackclient.Order{State: contracts.OrderStateCompleted}, req.PaymentMethod == stackclient.CardDeclined
		}}
		cfg := calm(stack)
		cfg.For = time.Second
		s := mustRun(t, t.Context(), cfg)
		if s.Status != 1 || len(s.Wrong) != 5 || s.Wrong[0].Story != "declined" || s.Wrong[0].Found != "completed" || s.Stories[1].Wrong != 5 {
			t.Errorf("%+v", s)
		}
	})
}

func TestRun_CancelRejected(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		stack := &fakeStack{lives: 4 * time.Second} // too late at once
		cfg := calm(stack)
		cfg.Mix, cfg.For = Mix{{"cancelled", 1}}, time.Second
		if s := mustRun(t, t.Context(), cfg); s.Status != 0 || s.All.Outcomes["completed"] != 50 {
			t.Errorf("%+v", s)
		}
		stack.ends = func(stackclient.OrderRequest) (stackclient.Order, bool) {
			return stackclient.Order{State: "cancelled", Reason: "customer"}, true
		}
		if s := mustRun(t, t.Context(), cfg); s.Status != 1 || !strings.Contains(s.Wrong[0].Found, "too late") {
			t.Errorf("%+v", s)
		}
	})
}

// Responses are lost, connections are refused and services are unavailable. Customers repeat requests, and each has one
// order.
func TestRun_RetriesRequests(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		var mu sync.Mutex
		tries := map[string]int{} // by key
		stack := &fakeStack{}
		stack.respond = func(r *http.Request) (*http.Response, error) {
			if !placing(r) || r.ContentLength > 400 { // the probe of the stock
				return nil, nil
			}
			mu.Lock()
			defer mu.Unlock()
			key := r.Header.Get("Idempotency-Key")
			tries[key]++
			switch tries[key] {
			case 1:
				return nil, errRefused
			case 2:
				return newResponse(r, http.StatusServiceUnavailable, nil), nil
			}
			return nil, nil
		}
		stack.lost = func(r *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			return tries[r.Header.Get("Idempotency-Key")] == 3
		}
		cfg := calm(stack)
		cfg.Mix, cfg.For = Mix{{"happy", 1}}, 2*time.Second
		s := mustRun(t, t.Context(), cfg)
		if s.Status != 0 || s.Ended.Orders != 100 || len(stack.orders) != 100 {
			t.Errorf("status %d, %d ended, %d placed: %+v", s.Status, s.Ended.Orders, len(stack.orders), s.Wrong)
		}
		kinds := map[string]bool{}
		for _, f := range s.Errors {
			kinds[f.Kind] = f.Count > 0 && f.Example != ""
		}
		if diff := cmp.Diff(map[string]bool{
			"order: connection refused": true, "order: 503 Service Unavailable": true, "order: connection lost": true,
		}, kinds); diff != "" {
			t.Error(diff)
		}
		if s.All.Accepted.Max < 0.1 {
			t.Errorf("what was repeated took its time: %+v", s.All.Accepted)
		}
	})
}

func TestRun_Timeout(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		stack := &fakeStack{lives: time.Hour}
		stack.respond = func(r *http.Request) (*http.Response, error) {
			stack.mu.Lock()
			defer stack.mu.Unlock()
			if placing(r) && len(stack.orders) == 3 {
				return newResponse(r, http.StatusUnprocessableEntity, map[string]string{"detail": "no"}), nil
			}
			return nil, nil
		}
		cfg := calm(stack)
		cfg.Mix, cfg.Rate, cfg.For, cfg.Timeout = Mix{{"happy", 1}}, 1, 5*time.Second, 20*time.Second
		began := time.Now()
		s := mustRun(t, t.Context(), cfg)
		if s.Status != 1 || s.All.Outcomes[notEnded] != 3 || s.All.Outcomes[notAccepted] != 2 || len(s.Wrong) != 5 {
			t.Errorf("%+v", s)
		}
		if !strings.Contains(s.Wrong[4].Found, "422") {
			t.Errorf("reason: %+v", s.Wrong[4])
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("timeout after %v", took)
		}
	})
}

func TestRun_Stop(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		cfg := calm(&fakeStack{})
		enough := make(chan struct{})
		time.AfterFunc(5*time.Second, func() { close(enough) })
		cfg.Stop = enough
		s := mustRun(t, t.Context(), cfg)
		if s.Status != 0 || !s.StoppedEarly || s.Offered.Orders < 240 || s.Offered.Orders > 251 || s.Ended.Orders != s.Offered.Orders || s.Reconciliation == nil {
			t.Errorf("what was open should have ended: %+v", s)
		}
	})
}

func TestRun_ContextEnds(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		cfg := calm(&fakeStack{})
		cfg.Reconcile = func(ctx context.Context, _ []string) (reconcile.Report, error) { return reconcile.Report{}, ctx.Err() }
		began := time.Now()
		s := mustRun(t, ctx, cfg)
		if time.Since(began) != 5*time.Second {
			t.Errorf("it took %v", time.Since(began))
		}
		if s.Status != 3 || s.Abandoned == 0 || s.Abandoned+s.Ended.Orders != s.Offered.Orders || len(s.Wrong) != 0 || s.ReconciliationError == "" {
			t.Errorf("%+v", s)
		}
	})
}

func TestRun_Verification(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		onHand int // as the inventory shows, if not 0
		report reconcile.Report
		err    error
		status int
	}{
		"a mismatch":                 {report: reconcile.Report{Findings: []reconcile.Finding{{Kind: "money"}}}, status: 1},
		"not everything was checked": {report: reconcile.Report{NotChecked: []string{"money"}}, status: 3},
		"no ledger":                  {err: errors.New("away"), status: 3},
		"a unit too many has left":   {onHand: 7, status: 1},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T) {
				stack := &fakeStack{respond: func(r *http.Request) (*http.Response, error) {
					if c.onHand > 0 && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/products/") {
						return newResponse(r, http.StatusOK, stackclient.Product{OnHand: c.onHand}), nil
					}
					return nil, nil
				}}
				cfg := calm(stack)
				cfg.For = time.Second
				cfg.Reconcile = func(context.Context, []string) (reconcile.Report, error) { return c.report, c.err }
				s := mustRun(t, t.Context(), cfg)
				if s.Status != c.status || (s.Stock != "") != (c.onHand > 0) {
					t.Errorf("status %d, stock %q", s.Status, s.Stock)
				}
			})
		})
	}
}

func TestRun_UnreachableStack(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		cfg := calm(&fakeStack{respond: func(*http.Request) (*http.Response, error) { return nil, errRefused }})
		if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "cannot reach the stack") {
			t.Errorf("%v", err)
		}
		cfg = calm(&fakeStack{})
		enough := make(chan struct{})
		close(enough)
		cfg.Stop = enough
		if _, err := Run(t.Context(), cfg); !errors.Is(err, errNoOrders) {
			t.Errorf("%v", err)
		}
	})
}

func TestConfig_Check(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"--rate must":      func(c *Config) { c.Rate = 0 },
		"at most 1000":     func(c *Config) { c.Rate = 1001 },
		"--for must":       func(c *Config) { c.For = 0 },
		"more than 100000": func(c *Config) { c.For = time.Hour },
		"--in-flight must": func(c *Config) { c.InFlight = 0 },
		"--wait must":      func(c *Config) { c.Timeout = 0 },
		"--mix":            func(c *Config) { c.Mix = nil },
	} {
		cfg := calm(&fakeStack{})
		if err := cfg.Check(); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want error with %q: %v", want, err)
		}
	}
}
