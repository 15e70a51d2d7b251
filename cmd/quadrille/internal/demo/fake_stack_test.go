package demo

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// fakeStack serves all services and both simulators at one address, with the data of a test.
type fakeStack struct {
	url string

	mu        sync.Mutex
	order     stackclient.Order
	snapshots map[string]map[string]any // by service
	faults    map[string]fault          // in force, by id
	injected  int                       // how many were ever injected
	token     string
}

func newFakeStack(t *testing.T) *fakeStack {
	t.Helper()
	f := &fakeStack{snapshots: map[string]map[string]any{}, faults: map[string]fault{}, token: "secret"}
	mux := http.NewServeMux()
	handle := func(pattern string, respond func(r *http.Request) (int, any)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			status, body := respond(r)
			w.WriteHeader(status)
			if body != nil {
				_ = json.NewEncoder(w).Encode(body) // the client may have disconnected
			}
		})
	}
	handle("GET /{service}/readyz", func(*http.Request) (int, any) { return http.StatusOK, nil })
	handle("GET /{service}/ops/audit", func(r *http.Request) (int, any) {
		if snapshot, known := f.snapshots[r.PathValue("service")]; known {
			return http.StatusOK, snapshot
		}
		return http.StatusServiceUnavailable, nil
	})
	handle("GET /order/api/v1/orders/{id}", func(*http.Request) (int, any) { return http.StatusOK, f.order })
	handle("POST /order/api/v1/orders", func(*http.Request) (int, any) { return http.StatusAccepted, f.order })
	handle("GET /inventory/api/v1/products/{sku}", func(*http.Request) (int, any) {
		return http.StatusOK, stackclient.Product{OnHand: 3}
	})
	handle("GET /{simulator}/ops/faults", func(r *http.Request) (int, any) {
		if r.Header.Get("Authorization") != "Bearer "+f.token {
			return http.StatusUnauthorized, nil
		}
		return http.StatusOK, map[string]any{"faults": []any{}}
	})
	handle("POST /{simulator}/ops/faults", func(r *http.Request) (int, any) {
		var created fault
		if err := json.NewDecoder(r.Body).Decode(&created); err != nil {
			return http.StatusUnprocessableEntity, nil
		}
		f.injected++
		id := string(rune('a' + f.injected))
		f.faults[id] = created
		return http.StatusCreated, map[string]string{"id": id}
	})
	handle("DELETE /{simulator}/ops/faults/{id}", func(r *http.Request) (int, any) {
		delete(f.faults, r.PathValue("id"))
		return http.StatusNoContent, nil
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fakeStack) stack() Stack {
	return Stack{Stack: stackclient.Stack{
		Order: f.url + "/order", Inventory: f.url + "/inventory", Payment: f.url + "/payment", Shipping: f.url + "/shipping",
		Processor: f.url + "/processor", Carrier: f.url + "/carrier", Token: f.token,
	}}
}

// change changes the data while no request is served.
func (f *fakeStack) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// newSnapshot returns the audit snapshot of a service with these events.
func newSnapshot(service string, audited bool, at time.Time, outbox, published []map[string]any) map[string]any {
	return map[string]any{
		"service": service, "at": at,
		"events": map[string]any{"audited": audited, "outbox": append([]map[string]any{}, outbox...), "published": append([]map[string]any{}, published...)},
	}
}
