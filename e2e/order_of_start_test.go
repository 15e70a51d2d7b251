package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Services are started before what they stand on, and it is taken away from under them. The shop in one process stands
// on nothing: there is nothing to tell about it.
func TestStartingInAnyOrder(t *testing.T) {
	if shop.Standing == nil {
		return
	}
	s := shop.Standing(t)
	if s.New {
		t.Run("everything comes after those who need it", func(t *testing.T) {
			began := s.starts(t)
			s.Open(t)
			s.holdBack(t, `"starting"`)
			s.wantUnavailable(t)
			s.Database.Start(t)
			s.holdBack(t, `"bus":"failed"`)
			s.Broker.Start(t)
			s.holdBack(t, `"bus":"failed"`) // there is no queue yet
			if err := applyTopology(t.Context(), s.Quadrille, s.Servers); err != nil {
				t.Fatal(err)
			}
			s.wantReadyAfter(t, began+len(serviceNames))
		})
		if t.Failed() {
			return
		}
	}
	sku := s.stock(t, "chandelier", 100_000)

	t.Run("the broker comes late", func(t *testing.T) {
		began := s.starts(t)
		s.Shut(t)
		s.Broker.Stop(t)
		s.Open(t)
		s.holdBack(t, `"bus":"failed"`)
		// Nobody can hear of them yet, but they are taken.
		orders := make([]string, 5)
		for i := range orders {
			orders[i] = s.place(t, orderOf(sku, 1))
		}
		s.Broker.Start(t)
		s.wantReadyAfter(t, began+len(serviceNames))
		s.wantCompleted(t, orders)
	})
	t.Run("the database comes late", func(t *testing.T) {
		began := s.starts(t)
		s.Shut(t)
		s.Database.Stop(t)
		s.Open(t)
		s.holdBack(t, `"starting"`)
		s.wantUnavailable(t)
		s.Database.Start(t)
		s.wantReadyAfter(t, began+len(serviceNames))
		s.wantCompleted(t, []string{s.place(t, orderOf(sku, 1))})
	})
	for name, server := range map[string]server{"the broker": s.Broker, "the database": s.Database} {
		t.Run(name+" is restarted while orders flow", func(t *testing.T) {
			began := s.starts(t)
			ordering := s.keepOrdering(t, sku)
			s.eventually(t, "orders flow", func() bool { return ordering.placed() >= 20 })
			server.Stop(t)
			server.Start(t)
			before := ordering.placed()
			s.eventually(t, "orders flow again", func() bool { return ordering.placed() >= before+20 })
			orders := ordering.end()
			s.wantReadyAfter(t, began)
			s.wantCompleted(t, orders)
			t.Logf("%d orders", len(orders))
		})
	}
}

func (s *Standing) urls() []string { return []string{s.Order, s.Inventory, s.Payment, s.Shipping} }

// holdBack lets the time pass for which a server is away. Meanwhile all services are alive, and none is ready: each says
// so by this word.
func (s *Standing) holdBack(t *testing.T, because string) {
	t.Helper()
	for _, url := range s.urls() {
		var why answer
		s.eventually(t, url+" is alive, and says why it is not ready", func() bool {
			live, err := s.do(http.MethodGet, url+"/livez", nil)
			if err != nil || live.status != http.StatusOK {
				return false
			}
			why, err = s.do(http.MethodGet, url+"/readyz", nil)
			return err == nil && why.status == http.StatusServiceUnavailable && strings.Contains(string(why.body), because)
		}, func() string { return string(why.body) })
	}
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	for over := time.After(s.Longest); ; {
		select {
		case <-look.C:
			for _, url := range s.urls() {
				s.must(t, http.StatusOK, http.MethodGet, url+"/livez", nil)
				s.must(t, http.StatusServiceUnavailable, http.MethodGet, url+"/readyz", nil)
			}
		case <-over:
			return
		}
	}
}

// wantUnavailable wants a clear answer to an order that cannot be taken.
func (s *Standing) wantUnavailable(t *testing.T) {
	t.Helper()
	a := s.must(t, http.StatusServiceUnavailable, http.MethodPost, s.Order+"/api/v1/orders", orderOf("dance-shoes", 1),
		"Idempotency-Key", uuid.NewString())
	if !strings.Contains(string(a.body), "/problems/unavailable") || a.header.Get("Retry-After") == "" ||
		!strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
		t.Errorf("ordered without a database: %v %s", a.header, a.body)
	}
}

// wantReadyAfter waits until all services are ready, after as many starts as should have been: none has ended by itself.
func (s *Standing) wantReadyAfter(t *testing.T, starts int) {
	t.Helper()
	if err := s.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.starts(t); got != starts {
		t.Errorf("services were started %d times, want %d", got, starts)
	}
}

// wantCompleted waits for the ends of orders, and for clean books of everybody.
func (s *Standing) wantCompleted(t *testing.T, orders []string) {
	t.Helper()
	for _, id := range orders {
		s.await(t, id, "completed")
	}
	if report, err := s.ledger(); err != nil {
		t.Errorf("the ledger is off: %v\n%s", err, report)
	}
}
