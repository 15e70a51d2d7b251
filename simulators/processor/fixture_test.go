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

// shop is a processor on the network, and the official client for it.
type shop struct {
	t      *testing.T
	dir    string
	url    string
	stripe *stripe.Client
	close  func()
}

func open(t *testing.T, dir string) *shop {
	t.Helper()
	server, err := processor.New(processor.Config{
		Dir: dir, Key: apiKey, OpsToken: opsToken, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	s := &shop{t: t, dir: dir, url: listener.URL, stripe: client(listener.URL, apiKey)}
	closed := false
	s.close = func() {
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
	t.Cleanup(s.close)
	return s
}

func newShop(t *testing.T) *shop { return open(t, t.TempDir()) }

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

func (s *shop) create(order, method string) *stripe.PaymentIntent {
	s.t.Helper()
	in, err := s.stripe.V1PaymentIntents.Create(s.t.Context(), params("", order, method))
	if err != nil {
		s.t.Fatal(err)
	}
	return in
}

func (s *shop) confirm(id, key string) (*stripe.PaymentIntent, error) {
	p := &stripe.PaymentIntentConfirmParams{}
	if key != "" {
		p.SetIdempotencyKey(key)
	}
	return s.stripe.V1PaymentIntents.Confirm(s.t.Context(), id, p)
}

func (s *shop) paid(order string) *stripe.PaymentIntent {
	s.t.Helper()
	in, err := s.confirm(s.create(order, "pm_card_visa").ID, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return in
}

func (s *shop) status(id string) stripe.PaymentIntentStatus {
	s.t.Helper()
	in, err := s.stripe.V1PaymentIntents.Retrieve(s.t.Context(), id, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return in.Status
}

func (s *shop) refund(id string, amount int64, key string) (*stripe.Refund, error) {
	p := &stripe.RefundCreateParams{PaymentIntent: &id}
	if amount != 0 {
		p.Amount = &amount
	}
	if key != "" {
		p.SetIdempotencyKey(key)
	}
	return s.stripe.V1Refunds.Create(s.t.Context(), p)
}

// wantError checks that err is the processor's, and gives it back.
func (s *shop) wantError(err error, status int, kind stripe.ErrorType, code stripe.ErrorCode) *stripe.Error {
	s.t.Helper()
	var e *stripe.Error
	if !errors.As(err, &e) {
		s.t.Fatalf("got %v, want an error of the processor", err)
	}
	if e.HTTPStatusCode != status || e.Type != kind || e.Code != code {
		s.t.Fatalf("got %d %s %q, want %d %s %q: %s", e.HTTPStatusCode, e.Type, e.Code, status, kind, code, e.Msg)
	}
	if e.RequestID == "" {
		s.t.Error("the answer has no Request-Id")
	}
	return e
}

// operate asks /ops and decodes the answer into answer unless that is nil.
func (s *shop) operate(method, path, body string, answer any) {
	s.t.Helper()
	status, text := s.ask(method, path, body)
	if status > 299 {
		s.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			s.t.Fatalf("%s: %v", text, err)
		}
	}
}

func (s *shop) ask(method, path, body string) (status int, text []byte) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewBufferString(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+opsToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if text, err = io.ReadAll(response.Body); err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, text
}

func (s *shop) switchOn(rule string) {
	s.t.Helper()
	s.operate(http.MethodPost, "/ops/switches", rule, nil)
}

func (s *shop) reset() { s.t.Helper(); s.operate(http.MethodDelete, "/ops/switches", "", nil) }

// waitFired waits until the only rule has acted n times.
func (s *shop) waitFired(n int) {
	s.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		var got struct{ Rules []struct{ Fired int } }
		s.operate(http.MethodGet, "/ops/switches", "", &got)
		if len(got.Rules) == 1 && got.Rules[0].Fired >= n {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the rule did not act %d times: %+v", n, got)
		}
	}
}

type books struct {
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

func (s *shop) books(order string) (b books) {
	s.t.Helper()
	s.operate(http.MethodGet, "/ops/books?order="+order, "", &b)
	return b
}

// raw sends a request as it is, and gives an error as the official client would.
func (s *shop) raw(method, path, body, key string, into any) error {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewBufferString(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct{ Error *stripe.Error }
	text, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		return err
	}
	if answer.Error != nil {
		answer.Error.HTTPStatusCode, answer.Error.RequestID = response.StatusCode, response.Header.Get("Request-Id")
		return answer.Error
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
