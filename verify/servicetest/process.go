package servicetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/audit"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// Process is a whole service that runs as its command runs it, with a transport in memory.
type Process struct {
	URL       string // without a slash at the end
	Transport *eventstest.Transport
	stop      func()
}

// Serve runs a service on an empty database until [Process.Stop] or the end of the test, and blocks until it is ready. It
// chooses the address and the token for /ops, and switches the audit on. The test fails if the service does not stop in
// order.
func Serve[T any, P chassis.Configured[T]](t *testing.T, cfg T,
	run func(ctx context.Context, cfg T, db *gorm.DB, tr transport.Transport) error,
) *Process {
	t.Helper()
	p := &Process{Transport: eventstest.NewTransport()}
	db := open(t, testservers.Database(t))
	listening, stopped := make(chan string, 1), make(chan error, 1)
	shared := P(&cfg).Shared()
	shared.HTTPAddr, shared.ShutdownTimeout = "127.0.0.1:0", 10*time.Second
	shared.OpsToken, shared.Events.Audit = OpsToken, true
	shared.OnListen = func(a net.Addr) { listening <- "http://" + a.String() }

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { stopped <- run(ctx, cfg, db, p.Transport) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(p.stop)
	select {
	case p.URL = <-listening:
	case err := <-stopped:
		stopped <- err
		t.Fatalf("the service does not serve: %v", err)
	}
	WaitUntil(t, "the service is ready", func() bool {
		status, _ := p.Call(t, http.MethodGet, "/readyz", "")
		return status == http.StatusOK
	})
	return p
}

// Stop stops the service and blocks until it has stopped.
func (p *Process) Stop() { p.stop() }

// Deliver passes the events to their handlers, which must acknowledge them. Their ids are the subject and the position
// in the list: "order-1-0", "order-1-1".
func (p *Process) Deliver(t *testing.T, etos ...events.ETO) {
	t.Helper()
	for i, eto := range etos {
		id := fmt.Sprintf("%s-%d", eto.Subject(), i)
		if outcome := p.Transport.Deliver(t, eto, eventstest.WithID(id)); outcome.Action != transport.Ack {
			t.Errorf("%s about %s: outcome %+v", eto.EventType(), eto.Subject(), outcome)
		}
	}
}

// Reject lets the broker reject every event about the subject.
func (p *Process) Reject(subject string) {
	p.Transport.Outcome(func(m transport.Message) error {
		if m.Subject == subject {
			return transport.ErrRejected
		}
		return nil
	})
}

// Call sends an HTTP request. A header is "Name: value"; a body is JSON.
func (p *Process) Call(t *testing.T, method, path, body string, headers ...string) (status int, response []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	req.Close = true // leaves no goroutine of an idle connection
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if response, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, response
}

// CallOK sends an HTTP request, which must succeed, and decodes the JSON of the response into v unless v is nil.
func (p *Process) CallOK(t *testing.T, method, path, body string, v any, headers ...string) {
	t.Helper()
	status, response := p.Call(t, method, path, body, headers...)
	if status/100 != 2 {
		t.Errorf("%s %s: status %d: %s", method, path, status, response)
		return
	}
	if v != nil {
		if err := json.Unmarshal(response, v); err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
	}
}

// Audit is an audit snapshot; Entries are the lists of the service.
type Audit[Entries any] struct {
	Service string
	At      time.Time
	Events  audit.Snapshot
	Entries Entries
}

// ReadAudit returns the audit snapshot as soon as this many events are left in the outbox. It checks that other tokens are
// rejected, and that the snapshot is complete.
func ReadAudit[Entries any](t *testing.T, p *Process, inOutbox int) Audit[Entries] {
	t.Helper()
	for _, headers := range [][]string{nil, {"Authorization: Bearer guess"}} {
		if status, _ := p.Call(t, http.MethodGet, "/ops/audit", "", headers...); status != http.StatusUnauthorized {
			t.Errorf("with headers %q: status %d", headers, status)
		}
	}
	var audit Audit[Entries]
	WaitUntil(t, fmt.Sprintf("%d events are left in the outbox", inOutbox), func() bool {
		audit = Audit[Entries]{}
		p.CallOK(t, http.MethodGet, "/ops/audit", "", &audit, "Authorization: Bearer "+OpsToken)
		return t.Failed() || len(audit.Events.Outbox) == inOutbox
	})
	if audit.Service == "" || audit.At.IsZero() || !audit.Events.Audited || audit.Events.ConsumedSince.IsZero() {
		t.Errorf("incomplete audit snapshot: %+v", audit)
	}
	return audit
}

// WantEvents checks that exactly this event is left in the outbox, that every event that the broker has is listed as
// published, and which handlers have consumed which events: "handler event-id", sorted.
func (a Audit[Entries]) WantEvents(t *testing.T, p *Process, left events.ETO, consumed []string) {
	t.Helper()
	if o := a.Events.Outbox; len(o) != 1 || o[0].Type != left.EventType() || o[0].Subject != left.Subject() || o[0].ID == "" {
		t.Errorf("in the outbox: %+v", o)
	}
	var sent, listed, handled []string
	for _, e := range p.Transport.Published() {
		sent = append(sent, e.ID+" "+e.Type+" "+e.Subject)
	}
	for _, e := range a.Events.Published {
		listed = append(listed, e.ID+" "+e.Type+" "+e.Subject)
	}
	slices.Sort(sent)
	slices.Sort(listed)
	if diff := cmp.Diff(sent, listed); diff != "" {
		t.Errorf("published (-want +got)\n%s", diff)
	}
	for _, e := range a.Events.Consumed {
		handled = append(handled, e.Handler+" "+e.EventID)
	}
	slices.Sort(handled)
	if diff := cmp.Diff(consumed, handled); diff != "" {
		t.Errorf("consumed (-want +got)\n%s", diff)
	}
}
