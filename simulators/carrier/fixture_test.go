package carrier_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/simulators/carrier"
)

const (
	opsToken = "operators only"
	secret   = "webhook secret"
	hour     = time.Hour
)

// clock is a fake clock. Its time changes only by advance.
type clock struct {
	mu      sync.Mutex
	now     time.Time
	waiting map[chan time.Time]time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), waiting: map[chan time.Time]time.Time{}}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) At(t time.Time) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	c.waiting[ch] = t
	c.fire()
	return ch
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.fire()
}

func (c *clock) fire() {
	for ch, t := range c.waiting {
		if !t.After(c.now) {
			ch <- c.now
			delete(c.waiting, ch)
		}
	}
}

// waits returns the remaining time of each pending At, in ascending order.
func (c *clock) waits() (waits []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.waiting {
		waits = append(waits, t.Sub(c.now))
	}
	slices.Sort(waits)
	return waits
}

type webhook struct {
	ID, Type, Reference, ShipmentID, Tracking string
	OccurredAt                                time.Time
}

// receiver receives webhooks. It rejects the first ones, up to a limit.
type receiver struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	reject   int // number of webhooks to reject
	rejected int
	accepted []webhook
}

func newReceiver(t *testing.T, reject int) *receiver {
	r := &receiver{t: t, reject: reject}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var received webhook
	if err == nil {
		err = json.Unmarshal(body, &received)
	}
	if err != nil {
		r.t.Error(err)
	}
	timestamp, signature, _ := strings.Cut(request.Header.Get("Carrier-Signature"), ",v1=")
	timestamp = strings.TrimPrefix(timestamp, "t=")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "." + string(body)))
	if want := hex.EncodeToString(mac.Sum(nil)); signature != want {
		r.t.Errorf("signature %q, want %q", signature, want)
	}
	if _, err := strconv.ParseInt(timestamp, 10, 64); err != nil {
		r.t.Errorf("timestamp %q", timestamp)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rejected < r.reject {
		r.rejected++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.accepted = append(r.accepted, received)
}

func (r *receiver) rejections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rejected
}

func (r *receiver) webhooks() []webhook {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.accepted)
}

// harness is a running carrier with a fake clock.
type harness struct {
	t     *testing.T
	cfg   carrier.Config
	clock *clock
	url   string
	close func()
}

// newHarness starts a carrier that dispatches after an hour and delivers after another.
func newHarness(t *testing.T, webhookURL string) *harness {
	t.Helper()
	return open(t, carrier.Config{
		Dir: t.TempDir(), DispatchDelay: hour, DeliveryDelay: hour, WebhookURL: webhookURL, WebhookSecret: secret,
		OpsToken: opsToken, Clock: newClock(), Log: slog.New(slog.DiscardHandler),
	})
}

func open(t *testing.T, cfg carrier.Config) *harness {
	t.Helper()
	server, err := carrier.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	h := &harness{t: t, cfg: cfg, clock: cfg.Clock.(*clock), url: listener.URL}
	h.close = sync.OnceFunc(func() {
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.close)
	return h
}

type shipment struct {
	ID, Reference, State, Tracking         string
	Code, Detail                           string // of an error
	DispatchedAt, DeliveredAt, CancelledAt *time.Time
	BookedAt                               time.Time
	Shipments                              []shipment // of a list
}

// send sends a request and decodes the response. It returns the status 0 if there was no response.
func (h *harness) send(method, path, body string, response any) (status int) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, bytes.NewBufferString(body))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+opsToken)
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(reply.Body).Decode(response); err != nil {
			h.t.Errorf("%s %s: %v", method, path, err)
		}
	}
	return reply.StatusCode
}

func booking(reference, city, postalCode, country string) string {
	body, _ := json.Marshal(map[string]any{
		"reference": reference,
		"address": map[string]string{
			"name": "Ada", "street": "Long Row 1", "city": city, "postalCode": postalCode, "country": country,
		},
		"items": []map[string]any{{"sku": "TEA", "quantity": 2}},
	})
	return string(body)
}

func (h *harness) post(body string) (sh shipment, status int) {
	h.t.Helper()
	status = h.send(http.MethodPost, "/v1/shipments", body, &sh)
	return sh, status
}

func (h *harness) book(reference string) shipment {
	h.t.Helper()
	sh, status := h.post(booking(reference, "Berlin", "10115", "DE"))
	if status != http.StatusCreated || sh.State != "booked" || sh.Reference != reference {
		h.t.Fatalf("%d %+v", status, sh)
	}
	return sh
}

func (h *harness) cancel(id string) (sh shipment, status int) {
	h.t.Helper()
	status = h.send(http.MethodPost, "/v1/shipments/"+id+"/cancel", "", &sh)
	return sh, status
}

func (h *harness) get(id string) (sh shipment) {
	h.t.Helper()
	if status := h.send(http.MethodGet, "/v1/shipments/"+id, "", &sh); status != http.StatusOK {
		h.t.Fatalf("%s: %d", id, status)
	}
	return sh
}

func (h *harness) inject(fault string) {
	h.t.Helper()
	var ignored any
	if status := h.send(http.MethodPost, "/ops/faults", fault, &ignored); status != http.StatusCreated {
		h.t.Fatalf("%s: %d %v", fault, status, ignored)
	}
}

func (h *harness) fired() int {
	h.t.Helper()
	var got struct{ Faults []struct{ Fired int } }
	if status := h.send(http.MethodGet, "/ops/faults", "", &got); status != http.StatusOK || len(got.Faults) != 1 {
		h.t.Fatalf("%d %+v", status, got)
	}
	return got.Faults[0].Fired
}

type snapshot struct {
	Shipments       []shipment
	Rejections      []struct{ Reference, Code string }
	PendingWebhooks int
	Totals          map[string]int
}

func (h *harness) audit() (a snapshot) {
	h.t.Helper()
	if status := h.send(http.MethodGet, "/ops/audit", "", &a); status != http.StatusOK {
		h.t.Fatalf("audit: %d", status)
	}
	return a
}

// waitUntil blocks until condition is true.
func waitUntil(t *testing.T, description string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", description)
		}
	}
}
