package shipping

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// fakeCarrier is a carrier with injected faults.
type fakeCarrier struct {
	server *httptest.Server

	// during, if set, wraps the effect of every call without a fault. It must be set before the first call.
	during func(op, parcelID string, effect func())

	mu      sync.Mutex
	parcels map[string]string // the state, by the id "shp_" and the reference
	bodies  []string
	calls   map[string]int
	faults  map[string][]fault
}

// fault responds to one call in place of the carrier. effect carries out the request.
type fault func(w http.ResponseWriter, effect func())

func newFakeCarrier(t *testing.T) *fakeCarrier {
	f := &fakeCarrier{parcels: map[string]string{}, calls: map[string]int{}, faults: map[string][]fault{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

// client returns a client of the fake, which is closed when the test ends.
func (f *fakeCarrier) client(t *testing.T) *Carrier {
	c := NewCarrier(f.server.URL+"/", 5*time.Second)
	t.Cleanup(c.Close)
	return c
}

// fail injects faults into the next calls of an operation, one each.
func (f *fakeCarrier) fail(op string, faults ...fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[op] = append(f.faults[op], faults...)
}

// count returns how often an operation was called.
func (f *fakeCarrier) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// set puts a parcel into a state.
func (f *fakeCarrier) set(id, state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parcels[id] = state
}

// state returns the state of a parcel, or "" if there is none.
func (f *fakeCarrier) state(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.parcels[id]
}

// dispatch dispatches a parcel that is booked. It reports whether it was booked.
func (f *fakeCarrier) dispatch(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.parcels[id] != "booked" {
		return false
	}
	f.parcels[id] = "dispatched"
	return true
}

// disconnect closes the connection without a response and without an effect.
func disconnect(http.ResponseWriter, func()) { panic(http.ErrAbortHandler) }

// loseResponse closes the connection after the effect.
func loseResponse(_ http.ResponseWriter, effect func()) {
	effect()
	panic(http.ErrAbortHandler)
}

// respond responds with a status and a body, without an effect.
func respond(status int, body string) fault {
	return func(w http.ResponseWriter, _ func()) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// page responds with a status and a page in HTML, without an effect.
func page(status int) fault {
	return func(w http.ResponseWriter, _ func()) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html>")
	}
}

// redirect redirects to another path of the server, without an effect.
func redirect(w http.ResponseWriter, _ func()) {
	w.Header().Set("Location", "/v1/shipments")
	respond(http.StatusTemporaryRedirect, `{"id":"shp_o","state":"booked"}`)(w, nil)
}

func (f *fakeCarrier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var id, op string
	if _, err := fmt.Sscanf(r.URL.Path, "/v1/shipments/%s", &id); err == nil {
		id, op = id[:len(id)-len("/cancel")], "cancel"
	} else {
		var request struct{ Reference string }
		_ = json.Unmarshal(body, &request)
		id, op = "shp_"+request.Reference, "book"
	}
	f.mu.Lock()
	f.calls[op]++
	f.bodies = append(f.bodies, string(body))
	var wrong fault
	if left := f.faults[op]; len(left) > 0 {
		wrong, f.faults[op] = left[0], left[1:]
	}
	f.mu.Unlock()

	status, reply := 200, map[string]any{}
	effect := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch state := f.parcels[id]; {
		case op == "book" && state == "":
			f.parcels[id], status = "booked", 201
		case op == "cancel" && state == "booked":
			f.parcels[id] = "cancelled"
		case op == "cancel" && (state == "dispatched" || state == "delivered"):
			status, reply["code"], reply["tracking"] = 409, "dispatched", "QD1"
		}
		reply["id"], reply["state"] = id, f.parcels[id]
	}
	switch {
	case wrong != nil:
		wrong(w, effect)
		return
	case f.during != nil:
		f.during(op, id, effect)
	default:
		effect()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(reply)
}
