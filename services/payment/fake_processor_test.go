package payment

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeProcessor is a card processor with injected faults. It ignores idempotency keys, as the real processor does after a
// day: what is safe with it does not depend on keys.
type fakeProcessor struct {
	server *httptest.Server

	// during, if set, wraps the effect of every call without a fault. It must be set before the first call.
	during func(op, orderID string, effect func())

	mu       sync.Mutex
	intents  map[string]*fakeIntent
	captures int
	calls    []fakeCall
	faults   map[string][]fault
}

type fakeIntent struct {
	order     string
	status    string
	method    string
	amount    string
	currency  string
	declined  string
	refunds   []int64
	confirmed int
}

type fakeCall struct {
	op, key, authorization, telemetry string
}

// fault responds to one call in place of the processor. effect carries out the request.
type fault func(w http.ResponseWriter, effect func())

func newFakeProcessor(t *testing.T) *fakeProcessor {
	f := &fakeProcessor{intents: map[string]*fakeIntent{}, faults: map[string][]fault{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

// gateway returns a gateway to the fake, which is closed when the test ends.
func (f *fakeProcessor) gateway(t *testing.T) *Gateway {
	g := NewGateway(f.server.URL, "sk_test_secret", 5*time.Second)
	t.Cleanup(g.Close)
	return g
}

// fail injects faults into the next calls of an operation, one each.
func (f *fakeProcessor) fail(op string, faults ...fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[op] = append(f.faults[op], faults...)
}

// heal removes the faults that are left.
func (f *fakeProcessor) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.faults)
}

// count returns how often an operation was called.
func (f *fakeProcessor) count(op string) int { return len(f.keys(op)) }

// keys lists the idempotency keys of an operation's calls.
func (f *fakeProcessor) keys(op string) (keys []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if c.op == op {
			keys = append(keys, c.key)
		}
	}
	return keys
}

func (f *fakeProcessor) captured() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.captures
}

// account is an order's total at the processor: the number of charges and refunds, and the captured money that was not
// refunded, in minor units.
type account struct {
	charges, refunds int
	kept             int64
}

func (f *fakeProcessor) account(orderID string) (a account) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, in := range f.intents {
		if in.order == orderID && in.status == "succeeded" {
			a.charges++
			a.refunds += len(in.refunds)
			a.kept += in.left()
		}
	}
	return a
}

// disconnect closes the connection without a response and without an effect.
func disconnect(_ http.ResponseWriter, _ func()) { panic(http.ErrAbortHandler) }

// loseResponse closes the connection after the effect.
func loseResponse(_ http.ResponseWriter, effect func()) {
	effect()
	panic(http.ErrAbortHandler)
}

// respondError responds with a status and an error, without an effect.
func respondError(status int, errorJSON string, headers ...string) fault {
	return respond(status, `{"error":`+errorJSON+`}`, headers)
}

// respondOK responds with a success, without an effect.
func respondOK(body string, headers ...string) fault { return respond(http.StatusOK, body, headers) }

func respond(status int, body string, headers []string) fault {
	return func(w http.ResponseWriter, _ func()) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// respondErrorAfter responds with a status and an error after the effect.
func respondErrorAfter(status int, errorJSON string) fault {
	return func(w http.ResponseWriter, effect func()) {
		effect()
		respondError(status, errorJSON)(w, nil)
	}
}

func (f *fakeProcessor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	op := map[string]string{
		"POST payment_intents 1": "create", "GET payment_intents 2": "read", "POST payment_intents 3": path[len(path)-1],
		"POST refunds 1": "refund", "GET refunds 1": "refunds",
	}[fmt.Sprintf("%s %s %d", r.Method, path[0], len(path))]

	f.mu.Lock()
	f.calls = append(f.calls, fakeCall{
		op, r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization"), r.Header.Get("X-Stripe-Client-Telemetry"),
	})
	var wrong fault
	if left := f.faults[op]; len(left) > 0 {
		wrong, f.faults[op] = left[0], left[1:]
	}
	f.mu.Unlock()

	var id string
	if len(path) > 1 {
		id = path[1]
	}
	status, body := 0, any(nil)
	effect := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		status, body = f.execute(op, id, r)
	}
	switch {
	case wrong != nil:
		wrong(w, effect)
		return
	case f.during != nil:
		f.during(op, f.orderOf(id, r), effect)
	default:
		effect()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (f *fakeProcessor) execute(op, id string, r *http.Request) (int, any) {
	switch op {
	case "create":
		id = fmt.Sprintf("pi_%d", len(f.intents)+1)
		f.intents[id] = &fakeIntent{
			order: r.Form.Get("metadata[order_id]"), status: "requires_confirmation", method: r.Form.Get("payment_method"),
			amount: r.Form.Get("amount"), currency: r.Form.Get("currency"),
		}
	case "confirm":
		in := f.intents[id]
		in.confirmed++
		switch {
		case in.status != "requires_confirmation":
			return refuse("payment_intent_unexpected_state")
		case strings.Contains(in.method, "Declined"):
			in.status, in.declined = "requires_payment_method", "generic_decline"
			return 402, map[string]any{"error": map[string]any{
				"type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "payment_intent": in.view(id),
			}}
		case strings.Contains(in.method, "authenticationRequired"):
			in.status = "requires_action"
		case strings.Contains(in.method, "heldBack"):
			in.status = "requires_capture"
		default:
			in.status = "succeeded"
			f.captures++
		}
	case "cancel":
		in := f.intents[id]
		if in.status == "succeeded" || in.status == "canceled" {
			return refuse("payment_intent_unexpected_state")
		}
		in.status = "canceled"
	case "refund":
		in := f.intents[r.Form.Get("payment_intent")]
		left := in.left()
		if left == 0 {
			return refuse("charge_already_refunded")
		}
		in.refunds = append(in.refunds, left)
		return 200, map[string]any{"id": "re_1", "amount": left, "currency": in.currency, "status": "succeeded"}
	case "refunds":
		data := []any{}
		in := f.intents[r.Form.Get("payment_intent")]
		for i, amount := range in.refunds {
			data = append(data, map[string]any{"id": fmt.Sprintf("re_%d", i+1), "amount": amount, "currency": in.currency, "status": "succeeded"})
		}
		return 200, map[string]any{"object": "list", "url": "/v1/refunds", "has_more": false, "data": data}
	}
	if f.intents[id] == nil {
		return 404, map[string]any{"error": map[string]any{"type": "invalid_request_error", "code": "resource_missing", "param": "intent"}}
	}
	return 200, f.intents[id].view(id)
}

func refuse(code string) (int, any) {
	return 400, map[string]any{"error": map[string]any{"type": "invalid_request_error", "code": code}}
}

// orderOf returns the order that a call is about.
func (f *fakeProcessor) orderOf(id string, r *http.Request) string {
	if order := r.Form.Get("metadata[order_id]"); order != "" {
		return order
	}
	if id == "" {
		id = r.Form.Get("payment_intent")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if in := f.intents[id]; in != nil {
		return in.order
	}
	return ""
}

// left returns what was captured and not refunded.
func (in *fakeIntent) left() int64 {
	if in.status != "succeeded" {
		return 0
	}
	left, _ := strconv.ParseInt(in.amount, 10, 64)
	for _, amount := range in.refunds {
		left -= amount
	}
	return left
}

func (in *fakeIntent) view(id string) map[string]any {
	amount, _ := strconv.ParseInt(in.amount, 10, 64)
	view := map[string]any{"id": id, "object": "payment_intent", "status": in.status, "amount": amount, "currency": in.currency}
	if in.status == "succeeded" {
		view["amount_received"] = amount
	}
	if in.declined != "" {
		view["last_payment_error"] = map[string]any{"type": "card_error", "code": "card_declined", "decline_code": in.declined}
	}
	return view
}
