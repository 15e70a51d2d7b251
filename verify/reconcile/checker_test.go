package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts/audit"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// server serves the audit snapshots of all sources, from a new fixture for each reading.
type server struct {
	*httptest.Server
	now      time.Time // only moved by Sleep
	readings atomic.Int64
}

// serve starts a server whose snapshots are changed by write at each reading. respond, if it returns true, has written the
// response instead.
func serve(t *testing.T, write func(reading int64, f *fixture), respond func(w http.ResponseWriter, source string, reading int64) bool) (*server, Config) {
	t.Helper()
	srv := &server{now: noon}
	srv.readings.Store(1)
	srv.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if path != "ops/audit" {
			http.NotFound(w, r)
			return
		}
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if respond != nil && respond(w, source, srv.readings.Load()) {
			return
		}
		f := newCleanFixture(t)
		if write != nil {
			write(srv.readings.Load(), f)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			Order: f.order, Inventory: f.inventory, Payment: f.payment, Shipping: f.shipping, Processor: f.processor, Carrier: f.carrier,
		}[source])
	}))
	t.Cleanup(srv.Close)
	cfg := Config{
		URLs: map[string]string{}, Token: "secret", Topologies: topologies(t), Depths: noDepths,
		Overdue: limit, Confirm: 3 * time.Second, Wait: 15 * time.Second,
		Now: func() time.Time { return srv.now },
		Sleep: func(_ context.Context, d time.Duration) {
			srv.readings.Add(1)
			srv.now = srv.now.Add(d)
		},
	}
	for _, source := range Sources {
		cfg.URLs[source] = srv.URL + "/" + source + "/"
	}
	return srv, cfg
}

func check(t *testing.T, cfg Config) Report {
	t.Helper()
	checker := New(cfg)
	defer checker.Close()
	r, err := checker.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ruleNames(findings []Finding) []string {
	names := []string{}
	for _, f := range findings {
		names = append(names, strings.TrimSpace(f.Kind+"/"+f.Rule+" "+strings.Join(f.Orders, ",")))
	}
	return names
}

func dropRefund(f *fixture) {
	f.editIntent("pi_returned", func(i *intent) { i.Refunds = nil })
	f.editPayment("returned", func(p *audit.Payment) { p.Refunded = 0 })
}

func TestCheck_Clean(t *testing.T) {
	t.Parallel()
	srv, cfg := serve(t, nil, nil)
	if r := check(t, cfg); !r.Clean || r.Status() != StatusClean || srv.readings.Load() != 1 {
		t.Errorf("%d readings: %+v", srv.readings.Load(), r)
	}
}

func TestCheck_TemporaryMismatch(t *testing.T) {
	t.Parallel()
	srv, cfg := serve(t, func(reading int64, f *fixture) {
		if reading == 1 {
			dropRefund(f)
		}
	}, nil)
	if r := check(t, cfg); !r.Clean || srv.readings.Load() != 2 {
		t.Errorf("%d readings: %+v", srv.readings.Load(), r)
	}
}

func TestCheck_ConfirmedMismatch(t *testing.T) {
	t.Parallel()
	srv, cfg := serve(t, func(_ int64, f *fixture) { dropRefund(f) }, nil)
	r := check(t, cfg)
	if diff := cmp.Diff([]string{"money/cancelled-kept returned"}, ruleNames(r.Findings)); diff != "" || r.Status() != StatusFindings || r.Clean {
		t.Errorf("%s\n%+v", diff, r)
	}
	if took := srv.now.Sub(noon); took < cfg.Confirm || took > cfg.Confirm+lastPause {
		t.Errorf("took %v", took)
	}
}

func TestCheck_WaitEqualsConfirm(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{0, time.Second, 3 * time.Second} {
		srv, cfg := serve(t, func(_ int64, f *fixture) { dropRefund(f) }, nil)
		cfg.Wait, cfg.Confirm = wait, wait
		if r := check(t, cfg); len(r.Findings) != 1 || srv.now.Sub(noon) != wait {
			t.Errorf("after %v of %v: %+v", srv.now.Sub(noon), wait, r)
		}
	}
}

func TestCheck_IntermittentMismatch(t *testing.T) {
	t.Parallel()
	srv, cfg := serve(t, func(reading int64, f *fixture) {
		if reading%3 > 0 {
			dropRefund(f)
		}
		if reading%3 < 2 {
			f.editIntent("pi_kept", func(i *intent) { i.Captures = 2 })
		}
	}, nil)
	r := check(t, cfg)
	if len(r.Findings) > 0 || len(r.UnderWay.Unconfirmed) == 0 || !r.Clean {
		t.Errorf("got %+v", r)
	}
	if took := srv.now.Sub(noon); took != cfg.Wait {
		t.Errorf("took %v", took)
	}
}

func TestCheck_Settled(t *testing.T) {
	t.Parallel()
	finish := func(f *fixture) {
		f.editOrder("young", func(o *order) { o.State = completed })
		f.editReservation("young", func(r *audit.Reservation) { r.State = committed })
		f.editProduct("tea", func(p *audit.Product) { p.OnHand, p.Reserved = 7, 0 })
		f.editShipment("young", func(s *shipment) { s.State, s.ShipmentID = delivered, "shp_young" })
		f.editParcel("shp_young", func(p *parcel) { p.State = delivered })
		f.publish("order.completed.v1", "young", 0)
	}
	srv, cfg := serve(t, func(reading int64, f *fixture) {
		if reading >= 5 {
			finish(f)
		}
	}, nil)
	cfg.Settled = true
	if r := check(t, cfg); !r.Clean || r.UnderWay.Count() != 0 || srv.readings.Load() != 5 {
		t.Errorf("%d readings: %+v", srv.readings.Load(), r)
	}

	srv, cfg = serve(t, nil, nil)
	cfg.Settled = true
	if r := check(t, cfg); r.Status() != StatusFindings || r.UnderWay.Orders != 1 || srv.now.Sub(noon) != cfg.Wait {
		t.Errorf("after %v: %+v", srv.now.Sub(noon), r)
	}

	// With one reading, a mismatch that an event under way may still remove is not settled.
	_, cfg = serve(t, func(_ int64, f *fixture) {
		finish(f)
		f.editReservation("young", func(r *audit.Reservation) { r.State = reserved })
		f.editProduct("tea", func(p *audit.Product) { p.OnHand, p.Reserved = 8, 1 })
		f.publish("shipment.dispatched.v1", "young", time.Second, "inventory.shipment-dispatched")
	}, nil)
	if r := check(t, cfg); !r.Clean || len(r.UnderWay.Unconfirmed) != 1 || r.UnderWay.Events != 1 {
		t.Errorf("got %+v", r)
	}
}

func TestCheck_RetriesSources(t *testing.T) {
	t.Parallel()
	srv, cfg := serve(t, nil, func(w http.ResponseWriter, source string, reading int64) bool {
		if source != Payment || reading > 2 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	if r := check(t, cfg); !r.Clean || srv.readings.Load() != 3 {
		t.Errorf("%d readings: %+v", srv.readings.Load(), r)
	}
}

func TestCheck_UnreadableSources(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(cfg *Config)
		body   string // of shipping
		want   []string
		once   bool // a retry would not help
	}{
		"unreachable": {change: func(cfg *Config) { cfg.URLs[Shipping] = "http://127.0.0.1:1" }, want: []string{"without shipping", "127.0.0.1:1", "refused"}},
		"another token": {
			change: func(cfg *Config) { cfg.Token = "guess" }, once: true,
			want: []string{"without order", "does not accept the token"},
		},
		"another service": {
			change: func(cfg *Config) { cfg.URLs[Shipping] = cfg.URLs[Payment] }, once: true,
			want: []string{"without shipping", `serves the audit snapshot of "payment"`},
		},
		"another path":    {change: func(cfg *Config) { cfg.URLs[Shipping] += "x" }, once: true, want: []string{"404"}},
		"a page":          {body: "<html>", once: true, want: []string{"does not serve the audit snapshot of shipping"}},
		"an empty object": {body: "{}", once: true, want: []string{`serves the audit snapshot of ""`}},
		"missing lists":   {body: `{"service":"shipping","events":{"outbox":[]},"entries":{"shipments":[]}}`, once: true, want: []string{"lists are missing"}},
		"null lists": {
			body: `{"service":"shipping","events":{"outbox":[],"published":[],"consumed":[]},"entries":{"shipments":null}}`, once: true,
			want: []string{"lists are missing"},
		},
		"a truncated response": {body: `{"service":"shipping",`, want: []string{"unexpected EOF"}},
		"other types":          {body: `{"service":7}`, once: true, want: []string{"does not serve the audit snapshot of shipping"}},
		"broker unavailable": {change: func(cfg *Config) {
			cfg.Depths = func(context.Context) (map[string]int, error) { return nil, errUnavailable }
		}, want: []string{"dead-letters (without broker): connection refused"}},
		"no broker": {change: func(cfg *Config) { cfg.Depths = nil }, once: true, want: []string{"dead-letters", "--amqp-url"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, cfg := serve(t, nil, func(w http.ResponseWriter, source string, _ int64) bool {
				if c.body == "" || source != Shipping {
					return false
				}
				_, _ = w.Write([]byte(c.body))
				return true
			})
			if c.change != nil {
				c.change(&cfg)
			}
			r := check(t, cfg)
			if r.Status() != StatusNotChecked || r.Clean || (srv.readings.Load() == 1) != c.once {
				t.Errorf("status %d after %d readings: %+v", r.Status(), srv.readings.Load(), r)
			}
			for _, words := range c.want {
				if !strings.Contains(strings.Join(r.NotChecked, "\n"), words) {
					t.Errorf("%q does not contain %q", r.NotChecked, words)
				}
			}
		})
	}
}

func TestCheck_IncompleteTopology(t *testing.T) {
	t.Parallel()
	_, cfg := serve(t, nil, nil)
	cfg.Depths = func(context.Context) (map[string]int, error) {
		return map[string]int{"order.payment-voided.dlq": 2}, transport.ErrTopology
	}
	r := check(t, cfg)
	if diff := cmp.Diff([]string{"dead-letters/dead-lettered"}, ruleNames(r.Findings)); diff != "" || len(r.NotChecked) != 1 {
		t.Errorf("%s\n%v", diff, r.NotChecked)
	}
}

func TestCheck_ContextEnds(t *testing.T) {
	t.Parallel()
	_, cfg := serve(t, func(_ int64, f *fixture) { dropRefund(f) }, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cfg.Sleep = func(context.Context, time.Duration) { cancel() }
	checker := New(cfg)
	defer checker.Close()
	if _, err := checker.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
