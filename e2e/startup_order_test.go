package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Services start before their servers, and the servers are restarted while orders are in progress.
func TestStartupOrder(t *testing.T) {
	long(t)
	if stack.OwnStack == nil {
		t.Skip("the embedded stack has no servers")
	}
	s := stack.OwnStack(t)
	if s.New {
		t.Run("services start first", func(t *testing.T) {
			before := s.starts(t)
			s.StartServices(t)
			s.wantNotReady(t, `"starting"`)
			s.wantUnavailable(t)
			s.Database.Start(t)
			s.wantNotReady(t, `"bus":"failed"`)
			s.Broker.Start(t)
			s.wantNotReady(t, `"bus":"failed"`) // the queues are missing
			if err := applyTopology(t.Context(), s.Quadrille, s.Servers); err != nil {
				t.Fatal(err)
			}
			s.wantReady(t, before+len(serviceNames))
		})
		if t.Failed() {
			return
		}
	}
	sku := s.addProduct(t, "chandelier", 100_000)

	t.Run("broker starts late", func(t *testing.T) {
		before := s.starts(t)
		s.StopServices(t)
		s.Broker.Stop(t)
		s.StartServices(t)
		s.wantNotReady(t, `"bus":"failed"`)
		// The order service accepts orders, whose events wait in the outbox.
		orders := make([]string, 5)
		for i := range orders {
			orders[i] = s.place(t, newOrder(sku, 1))
		}
		s.Broker.Start(t)
		s.wantReady(t, before+len(serviceNames))
		s.wantCompleted(t, orders)
	})
	t.Run("database starts late", func(t *testing.T) {
		before := s.starts(t)
		s.StopServices(t)
		s.Database.Stop(t)
		s.StartServices(t)
		s.wantNotReady(t, `"starting"`)
		s.wantUnavailable(t)
		s.Database.Start(t)
		s.wantReady(t, before+len(serviceNames))
		s.wantCompleted(t, []string{s.place(t, newOrder(sku, 1))})
	})
	for name, server := range map[string]server{"broker": s.Broker, "database": s.Database} {
		t.Run(name+" restarts during orders", func(t *testing.T) {
			before := s.starts(t)
			flow := s.startOrderFlow(t, sku)
			s.eventually(t, "20 orders are placed", func() bool { return flow.placed() >= 20 })
			server.Stop(t)
			server.Start(t)
			placed := flow.placed()
			s.eventually(t, "20 more orders are placed", func() bool { return flow.placed() >= placed+20 })
			orders := flow.end()
			s.wantReady(t, before)
			s.wantCompleted(t, orders)
			t.Logf("%d orders", len(orders))
		})
	}
}

// wantNotReady lets OutageDuration pass, and wants all services to be alive and not ready in that time. The response of
// /readyz must contain this reason.
func (s *OwnStack) wantNotReady(t *testing.T, reason string) {
	t.Helper()
	for _, url := range s.services() {
		var ready response
		s.eventually(t, url+" is alive and not ready because of "+reason, func() bool {
			live, err := s.do(http.MethodGet, url+"/livez", nil)
			if err != nil || live.status != http.StatusOK {
				return false
			}
			ready, err = s.do(http.MethodGet, url+"/readyz", nil)
			return err == nil && ready.status == http.StatusServiceUnavailable && strings.Contains(string(ready.body), reason)
		}, func() string { return string(ready.body) })
	}
	check := time.NewTicker(500 * time.Millisecond)
	defer check.Stop()
	for end := time.After(s.OutageDuration); ; {
		select {
		case <-check.C:
			for _, url := range s.services() {
				s.must(t, http.StatusOK, http.MethodGet, url+"/livez", nil)
				s.must(t, http.StatusServiceUnavailable, http.MethodGet, url+"/readyz", nil)
			}
		case <-end:
			return
		}
	}
}

// wantUnavailable wants an order to be rejected with a problem document and Retry-After.
func (s *OwnStack) wantUnavailable(t *testing.T) {
	t.Helper()
	r := s.must(t, http.StatusServiceUnavailable, http.MethodPost, s.Order+"/api/v1/orders", newOrder("dance-shoes", 1),
		"Idempotency-Key", uuid.NewString())
	if !strings.Contains(string(r.body), "/problems/unavailable") || r.header.Get("Retry-After") == "" ||
		!strings.HasPrefix(r.header.Get("Content-Type"), "application/problem+json") {
		t.Errorf("response to an order without a database: %v %s", r.header, r.body)
	}
}

// wantReady waits until all services are ready, and wants this many starts in all: no service may have crashed.
func (s *OwnStack) wantReady(t *testing.T, starts int) {
	t.Helper()
	if err := s.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.starts(t); got != starts {
		t.Errorf("services were started %d times, want %d", got, starts)
	}
}

// wantCompleted waits until the orders are completed, and reconciles the stack.
func (s *OwnStack) wantCompleted(t *testing.T, orders []string) {
	t.Helper()
	for _, id := range orders {
		s.await(t, id, "completed")
	}
	if report, err := s.reconcile(); err != nil {
		t.Errorf("reconciliation failed: %v\n%s", err, report)
	}
}
