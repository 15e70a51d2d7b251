package servicetest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// OpsToken is the token for /ops in tests.
const OpsToken = "operators"

// Harness is a service under test: its database, bus and router are real, its transport is in memory.
type Harness struct {
	DB        *gorm.DB
	Transport *eventstest.Transport
	Router    http.Handler
	stop      func()
}

// Start runs the bus of the service on db until [Harness.Stop] or the end of the test.
func Start(t *testing.T, db *gorm.DB, service chassis.Service) *Harness {
	t.Helper()
	h := &Harness{DB: db, Transport: eventstest.NewTransport()}
	cfg := chassis.Config{OpsToken: OpsToken}
	bus, err := service.Bus(cfg, db, h.Transport)
	if err != nil {
		t.Fatal(err)
	}
	h.stop = eventstest.Start(t, bus)
	if h.Router, err = service.Router(cfg, db, bus); err != nil {
		t.Fatal(err)
	}
	return h
}

// Stop stops the bus. It blocks until every event that is due is published.
func (h *Harness) Stop() { h.stop() }

// Deliver passes each event to its handler, which must acknowledge it at the first attempt.
func (h *Harness) Deliver(t *testing.T, etos ...events.ETO) {
	t.Helper()
	for _, eto := range etos {
		h.DeliverWith(t, eto)
	}
}

// DeliverWith passes the event to its handler, which must acknowledge it.
func (h *Harness) DeliverWith(t *testing.T, eto events.ETO, opts ...eventstest.DeliverOption) {
	t.Helper()
	if outcome := h.Transport.Deliver(t, eto, opts...); outcome.Action != transport.Ack {
		t.Errorf("%s about %s: outcome %+v", eto.EventType(), eto.Subject(), outcome)
	}
}

// Call sends an HTTP request to the router. A header is "Name: value"; a body is JSON.
func (h *Harness) Call(t *testing.T, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	h.Router.ServeHTTP(rec, req)
	return rec
}

// Get sends a GET request to the router.
func (h *Harness) Get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	return h.Call(t, http.MethodGet, path, "")
}

// GetOps sends a GET request with the operators' token to a path under /ops.
func (h *Harness) GetOps(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	return h.Call(t, http.MethodGet, "/ops"+path, "", "Authorization: Bearer "+OpsToken)
}

// AwaitPublished blocks until the outbox is empty, and returns everything that was published.
func (h *Harness) AwaitPublished(t *testing.T) []transport.Envelope {
	t.Helper()
	WaitUntil(t, "the outbox is empty", func() bool {
		var left int64
		if err := h.DB.Table("outbox").Count(&left).Error; err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
	return h.Transport.Published()
}

// PublishedAbout stops the bus and returns what was published about the subject, in order.
func (h *Harness) PublishedAbout(t *testing.T, subject string) []transport.Envelope {
	t.Helper()
	h.Stop()
	var about []transport.Envelope
	for _, e := range h.Transport.Published() {
		if e.Subject == subject {
			about = append(about, e)
		}
	}
	return about
}

// PublishedTypes stops the bus and returns the types of what was published about the subject, in order.
func (h *Harness) PublishedTypes(t *testing.T, subject string) []string {
	t.Helper()
	var types []string
	for _, e := range h.PublishedAbout(t, subject) {
		types = append(types, e.Type)
	}
	return types
}

// WantPublishedTypes stops the bus and checks the types of what was published about the subject, in order.
func (h *Harness) WantPublishedTypes(t *testing.T, subject string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, h.PublishedTypes(t, subject)); diff != "" {
		t.Errorf("published about %s (-want +got)\n%s", subject, diff)
	}
}

// WantPublishedAbout stops the bus and checks that exactly these events were published about the subject, in order.
func (h *Harness) WantPublishedAbout(t *testing.T, subject string, want ...events.ETO) {
	t.Helper()
	wantEnvelopes(t, h.PublishedAbout(t, subject), want)
}

// WantPublished stops the bus and checks that exactly these events were published, in order.
func (h *Harness) WantPublished(t *testing.T, want ...events.ETO) {
	t.Helper()
	h.Stop()
	wantEnvelopes(t, h.Transport.Published(), want)
}

func wantEnvelopes(t *testing.T, envelopes []transport.Envelope, want []events.ETO) {
	t.Helper()
	var wanted, got []string
	for _, eto := range want {
		data, err := json.Marshal(eto)
		if err != nil {
			t.Fatal(err)
		}
		wanted = append(wanted, eto.EventType()+" "+string(data))
	}
	for _, e := range envelopes {
		got = append(got, e.Type+" "+string(e.Data))
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("published (-want +got)\n%s", diff)
	}
}
