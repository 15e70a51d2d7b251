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
	secret   = "between us"
	hour     = time.Hour
)

// clock stands still until it is told to advance.
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
	c.ring()
	return ch
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.ring()
}

func (c *clock) ring() {
	for ch, t := range c.waiting {
		if !t.After(c.now) {
			ch <- c.now
			delete(c.waiting, ch)
		}
	}
}

// waits lists how long everybody is going to wait.
func (c *clock) waits() (waits []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.waiting {
		waits = append(waits, t.Sub(c.now))
	}
	slices.Sort(waits)
	return waits
}

type notice struct {
	ID, Type, Reference, ShipmentID, Tracking string
	OccurredAt                                time.Time
}

// receiver takes reports, after refusing each of the first ones it was told to refuse.
type receiver struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	refuse  int
	refused int
	taken   []notice
}

func newReceiver(t *testing.T, refuse int) *receiver {
	r := &receiver{t: t, refuse: refuse}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var n notice
	if err == nil {
		err = json.Unmarshal(body, &n)
	}
	if err != nil {
		r.t.Error(err)
	}
	sent, signature, _ := strings.Cut(request.Header.Get("Carrier-Signature"), ",v1=")
	sent = strings.TrimPrefix(sent, "t=")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(sent + "." + string(body)))
	if want := hex.EncodeToString(mac.Sum(nil)); signature != want {
		r.t.Errorf("signature %q, want %q", signature, want)
	}
	if _, err := strconv.ParseInt(sent, 10, 64); err != nil {
		r.t.Errorf("signed at %q", sent)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused < r.refuse {
		r.refused++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.taken = append(r.taken, n)
}

func (r *receiver) refusals() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

func (r *receiver) notices() []notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken)
}

// depot is a carrier on the network.
type depot struct {
	t     *testing.T
	cfg   carrier.Config
	clock *clock
	url   string
	close func()
}

// newDepot opens a carrier that hands over after an hour and delivers after another.
func newDepot(t *testing.T, webhookURL string) *depot {
	t.Helper()
	return open(t, carrier.Config{
		Dir: t.TempDir(), HandoverDelay: hour, DeliveryDelay: hour, WebhookURL: webhookURL, WebhookSecret: secret,
		OpsToken: opsToken, Clock: newClock(), Log: slog.New(slog.DiscardHandler),
	})
}

func open(t *testing.T, cfg carrier.Config) *depot {
	t.Helper()
	server, err := carrier.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	d := &depot{t: t, cfg: cfg, clock: cfg.Clock.(*clock), url: listener.URL}
	d.close = sync.OnceFunc(func() {
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(d.close)
	return d
}

type shipment struct {
	ID, Reference, State, Tracking         string
	Code, Detail                           string // of a refusal
	DispatchedAt, DeliveredAt, CancelledAt *time.Time
	BookedAt                               time.Time
	Shipments                              []shipment // of a list
}

// ask sends a request and decodes the answer; status 0 says that there was none.
func (d *depot) ask(method, path, body string, answer any) (status int) {
	d.t.Helper()
	request, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, bytes.NewBufferString(body))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+opsToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
			d.t.Errorf("%s %s: %v", method, path, err)
		}
	}
	return response.StatusCode
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

func (d *depot) post(body string) (sh shipment, status int) {
	d.t.Helper()
	status = d.ask(http.MethodPost, "/v1/shipments", body, &sh)
	return sh, status
}

func (d *depot) book(reference string) shipment {
	d.t.Helper()
	sh, status := d.post(booking(reference, "Berlin", "10115", "DE"))
	if status != http.StatusCreated || sh.State != "booked" || sh.Reference != reference {
		d.t.Fatalf("%d %+v", status, sh)
	}
	return sh
}

func (d *depot) cancel(id string) (sh shipment, status int) {
	d.t.Helper()
	status = d.ask(http.MethodPost, "/v1/shipments/"+id+"/cancel", "", &sh)
	return sh, status
}

func (d *depot) get(id string) (sh shipment) {
	d.t.Helper()
	if status := d.ask(http.MethodGet, "/v1/shipments/"+id, "", &sh); status != http.StatusOK {
		d.t.Fatalf("%s: %d", id, status)
	}
	return sh
}

func (d *depot) switchOn(rule string) {
	d.t.Helper()
	var ignored any
	if status := d.ask(http.MethodPost, "/ops/switches", rule, &ignored); status != http.StatusCreated {
		d.t.Fatalf("%s: %d %v", rule, status, ignored)
	}
}

func (d *depot) fired() int {
	d.t.Helper()
	var got struct{ Rules []struct{ Fired int } }
	if status := d.ask(http.MethodGet, "/ops/switches", "", &got); status != http.StatusOK || len(got.Rules) != 1 {
		d.t.Fatalf("%d %+v", status, got)
	}
	return got.Rules[0].Fired
}

type books struct {
	Shipments      []shipment
	Refusals       []struct{ Reference, Code string }
	PendingNotices int
	Totals         map[string]int
}

func (d *depot) books() (b books) {
	d.t.Helper()
	if status := d.ask(http.MethodGet, "/ops/books", "", &b); status != http.StatusOK {
		d.t.Fatalf("books: %d", status)
	}
	return b
}

// wait waits until what is true.
func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
