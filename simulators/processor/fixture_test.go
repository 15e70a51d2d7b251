package processor_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/quadrille-dev/quadrille/simulators/processor"
)

const (
	apiKey   = "sk_test_here"
	opsToken = "operators only"
)

// harness is a running processor with Stripe's official client.
type harness struct {
	t      *testing.T
	dir    string
	url    string
	stripe *stripe.Client
	close  func()
}

func open(t *testing.T, dir string) *harness {
	t.Helper()
	server, err := processor.New(processor.Config{
		Dir: dir, Key: apiKey, OpsToken: opsToken, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	h := &harness{t: t, dir: dir, url: listener.URL, stripe: client(listener.URL, apiKey)}
	closed := false
	h.close = func() {
		if closed {
			return
		}
		closed = true
		listener.CloseClientConnections()
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(h.close)
	return h
}

func newHarness(t *testing.T) *harness { return open(t, t.TempDir()) }

func client(url, key string) *stripe.Client {
	return stripe.NewClient(key, stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL: &url, MaxNetworkRetries: new(int64), EnableTelemetry: new(bool), HTTPClient: &http.Client{Transport: &http.Transport{}},
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})))
}

func params(key, order, method string) *stripe.PaymentIntentCreateParams {
	p := &stripe.PaymentIntentCreateParams{
		Amount: new(int64(2599)), Currency: new("eur"), PaymentMethod: new(method),
		AutomaticPaymentMethods: &stripe.PaymentIntentCreateAutomaticPaymentMethodsParams{
			Enabled: new(true), AllowRedirects: new("never"),
		},
	}
	p.AddMetadata("order_id", order)
	if key != "" {
		p.SetIdempotencyKey(key)
	}
	return p
}

func (h *harness) create(order, method string) *stripe.PaymentIntent {
	h.t.Helper()
	in, err := h.stripe.V1PaymentIntents.Create(h.t.Context(), params("", order, method))
	if err != nil {
		h.t.Fatal(err)
	}
	return in
}

func (h *harness) confirm(id, key string) (*stripe.PaymentIntent, error) {
	p := &stripe.PaymentIntentConfirmParams{}
	if key != "" {
		p.SetIdempotencyKey(key)
	}
	return h.stripe.V1PaymentIntents.Confirm(h.t.Context(), id, p)
}

func (h *harness) paid(order string) *stripe.PaymentIntent {
	h.t.Helper()
	in, err := h.confirm(h.create(order, "pm_card_visa").ID, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return in
}

func (h *harness) status(id string) stripe.PaymentIntentStatus {
	h.t.Helper()
	in, err := h.stripe.V1PaymentIntents.Retrieve(h.t.Context(), id, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return in.Status
}

func (h *harness) refund(id string, amount int64, key string) (*stripe.Refund, error) {
	p := &stripe.RefundCreateParams{PaymentIntent: &id}
	if amount != 0 {
		p.Amount = &amount
	}
	if key != "" {
		p.SetIdempotencyKey(key)
	}
	return h.stripe.V1Refunds.Create(h.t.Context(), p)
}

// wantError requires err to be this error of the processor, and returns it.
func (h *harness) wantError(err error, status int, kind stripe.ErrorType, code stripe.ErrorCode) *stripe.Error {
	h.t.Helper()
	var e *stripe.Error
	if !errors.As(err, &e) {
		h.t.Fatalf("got %v, want an API error", err)
	}
	if e.HTTPStatusCode != status || e.Type != kind || e.Code != code {
		h.t.Fatalf("got %d %s %q, want %d %s %q: %s", e.HTTPStatusCode, e.Type, e.Code, status, kind, code, e.Msg)
	}
	if e.RequestID == "" {
		h.t.Error("the response has no Request-Id")
	}
	return e
}

// operate sends an operators' request and decodes the response into response, unless that is nil.
func (h *harness) operate(method, path, body string, response any) {
	h.t.Helper()
	status, text := h.send(method, path, body)
	if status > 299 {
		h.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	if response != nil {
		if err := json.Unmarshal(text, response); err != nil {
			h.t.Fatalf("%s: %v", text, err)
		}
	}
}

func (h *harness) send(method, path, body string) (status int, text []byte) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, bytes.NewBufferString(body))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+opsToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	if text, err = io.ReadAll(response.Body); err != nil {
		h.t.Fatal(err)
	}
	return response.StatusCode, text
}

func (h *harness) inject(fault string) {
	h.t.Helper()
	h.operate(http.MethodPost, "/ops/faults", fault, nil)
}

func (h *harness) reset() { h.t.Helper(); h.operate(http.MethodDelete, "/ops/faults", "", nil) }

// waitFired blocks until the only fault has fired n times.
func (h *harness) waitFired(n int) {
	h.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		var got struct{ Faults []struct{ Fired int } }
		h.operate(http.MethodGet, "/ops/faults", "", &got)
		if len(got.Faults) == 1 && got.Faults[0].Fired >= n {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("the fault did not fire %d times: %+v", n, got)
		}
	}
}

type snapshot struct {
	PaymentIntents []struct {
		ID, OrderID, Currency, Status string
		Amount                        int64
		CapturedAt                    *time.Time
		Captures                      int
		Refunds                       []struct {
			ID     string
			Amount int64
		}
	}
	Totals struct {
		Intents, Captures, Refunds int
		Captured, Refunded         map[string]int64
	}
}

func (h *harness) audit(order string) (a snapshot) {
	h.t.Helper()
	h.operate(http.MethodGet, "/ops/audit?order="+order, "", &a)
	return a
}

// sendRaw sends a request without the official client, and returns API errors as the client does.
func (h *harness) sendRaw(method, path, body, key string, v any) error {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, bytes.NewBufferString(body))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var failure struct{ Error *stripe.Error }
	text, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(text, &failure)
	}
	if err != nil {
		return err
	}
	if failure.Error != nil {
		failure.Error.HTTPStatusCode, failure.Error.RequestID = response.StatusCode, response.Header.Get("Request-Id")
		return failure.Error
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(text, v)
}
