package payment

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	failed500   = `{"type":"api_error","message":"pm_card_visa went wrong"}`
	badRequest  = `{"type":"invalid_request_error","code":"parameter_unknown","param":"metadata","message":"pm_card_visa"}`
	badCard     = `{"type":"invalid_request_error","code":"resource_missing","param":"payment_method"}`
	stateGone   = `{"type":"invalid_request_error","code":"payment_intent_unexpected_state"}`
	alreadyDone = `{"type":"invalid_request_error","code":"charge_already_refunded","message":"done"}`
)

// opened is a gateway and an intent that waits to be confirmed.
func opened(t *testing.T, method string) (*fakeProcessor, *Gateway, string) {
	t.Helper()
	fake := newFakeProcessor(t)
	g := fake.gateway(t)
	in, err := g.Create(context.Background(), "order/create/1", "order", total, method)
	if err != nil || in.Status != IntentOpen {
		t.Fatalf("create: %+v, %v", in, err)
	}
	return fake, g, in.ID
}

func TestCreate_SendsAmountAndKey(t *testing.T) {
	t.Parallel()
	fake, _, id := opened(t, "pm_card_visa")
	want := fakeIntent{order: "order", status: "requires_confirmation", method: "pm_card_visa", amount: "1999", currency: "eur"}
	if diff := cmp.Diff(want, *fake.intents[id], cmp.AllowUnexported(fakeIntent{})); diff != "" {
		t.Errorf("intent (-want +got):\n%s", diff)
	}
	call := fakeCall{"create", "order/create/1", "Bearer sk_test_secret", ""}
	if diff := cmp.Diff([]fakeCall{call}, fake.calls, cmp.AllowUnexported(fakeCall{})); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestCreate_InvalidCardOrAmountIsRefusal(t *testing.T) {
	t.Parallel()
	for code, said := range map[string]string{
		"resource_missing":      `{"type":"invalid_request_error","code":"resource_missing","param":"payment_method"}`,
		"invalid_request_error": `{"type":"invalid_request_error","param":"payment_method"}`,
		"amount_too_small":      `{"type":"invalid_request_error","code":"amount_too_small","param":"amount"}`,
		"amount_too_large":      `{"type":"invalid_request_error","code":"amount_too_large","param":"amount"}`,
		"invalid_currency":      `{"type":"invalid_request_error","code":"invalid_currency","param":"currency"}`,
		"parameter_invalid":     `{"type":"invalid_request_error","code":"parameter_invalid","param":"amount"}`,
		"lost_card":             `{"type":"card_error","code":"card_declined","decline_code":"lost_card"}`,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			fake := newFakeProcessor(t)
			fake.fail("create", respondError(400, said))
			got, err := fake.gateway(t).Create(context.Background(), "k", "order", total, "pm_nobody")
			if want := (Intent{Status: IntentDeclined, Code: code}); err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestConfirm_ReadsIntentAfterLostResponse(t *testing.T) {
	t.Parallel()
	captured := Intent{ID: "pi_1", Status: IntentCaptured}
	declined := Intent{ID: "pi_1", Status: IntentDeclined, Code: "generic_decline"}
	for name, c := range map[string]struct {
		method string
		faults []fault
		want   Intent
	}{
		"yes":                        {"pm_card_visa", nil, captured},
		"declined":                   {"pm_card_chargeDeclined", nil, declined},
		"response lost":              {"pm_card_visa", []fault{loseResponse}, captured},
		"response to a decline lost": {"pm_card_chargeDeclined", []fault{loseResponse}, declined},
		"500 after the effect":       {"pm_card_visa", []fault{respondErrorAfter(500, failed500)}, captured},
		"key used with other params": {"pm_card_visa", []fault{respondErrorAfter(400, `{"type":"idempotency_error"}`)}, captured},
		"503 after the effect":       {"pm_card_visa", []fault{respondErrorAfter(503, failed500)}, captured},
		"needs the cardholder":       {"pm_card_authenticationRequired", nil, Intent{ID: "pi_1", Status: IntentDeclined, Code: "authentication_required"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, g, id := opened(t, c.method)
			fake.fail("confirm", c.faults...)
			got, err := g.Confirm(context.Background(), "k", id, total)
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
			if status := fake.intents[id].status; status == "requires_action" {
				t.Errorf("the intent is left as %s", status)
			}
		})
	}
}

func TestConfirm_FailsWhileIntentIsOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault fault
		spent bool
	}{
		"hung up":              {disconnect, false},
		"500":                  {respondError(500, failed500), false},
		"500 that was saved":   {respondError(500, failed500, "Idempotent-Replayed", "true"), true},
		"key with other use":   {respondError(400, `{"type":"idempotency_error"}`), true},
		"key still in use":     {respondError(409, `{"type":"invalid_request_error","code":"idempotency_key_in_use"}`), false},
		"same call running":    {respondError(409, `{"type":"idempotency_error","code":"idempotency_key_in_use"}`), false},
		"not JSON":             {respondError(500, `<html>`), false},
		"a mistake of our own": {respondError(400, badRequest), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, g, id := opened(t, "pm_card_visa")
			fake.fail("confirm", c.fault)
			got, err := g.Confirm(context.Background(), "k", id, total)
			if err == nil || got.Status != IntentOpen {
				t.Fatalf("got %+v, %v, want an error", got, err)
			}
			if errors.Is(err, errKeyUsedUp) != c.spent {
				t.Errorf("key spent: %t, want %t: %v", !c.spent, c.spent, err)
			}
			for _, secret := range []string{"pm_card", "sk_test", "client_secret"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells %q: %v", secret, err)
				}
			}
		})
	}
}

func TestRefund_ReadsBeforeAndAfterRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		given   []int64
		faults  []fault
		fails   bool
		asked   int
		refunds int
	}{
		"nothing given yet":       {nil, nil, false, 1, 1},
		"all given already":       {[]int64{1999}, nil, false, 0, 1},
		"given in parts":          {[]int64{1000, 999}, nil, false, 0, 2},
		"one part given":          {[]int64{1000}, nil, false, 1, 2},
		"response lost":           {nil, []fault{loseResponse}, false, 1, 1},
		"hung up":                 {nil, []fault{disconnect}, true, 1, 0},
		"given by someone else":   {nil, []fault{respondErrorAfter(400, alreadyDone)}, false, 1, 1},
		"500 and nothing happens": {nil, []fault{respondError(500, failed500)}, true, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, g, id := opened(t, "pm_card_visa")
			fake.intents[id].status, fake.intents[id].refunds = "succeeded", c.given
			fake.fail("refund", c.faults...)
			err := g.Refund(context.Background(), "k", id, total)
			if (err != nil) != c.fails {
				t.Errorf("got %v, want failure %t", err, c.fails)
			}
			if got := fake.count("refund"); got != c.asked {
				t.Errorf("asked for %d refunds, want %d", got, c.asked)
			}
			if got := len(fake.intents[id].refunds); got != c.refunds {
				t.Errorf("%d refunds, want %d", got, c.refunds)
			}
		})
	}
}

func TestRefund_UnsuccessfulStatusIsError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		made fault
		want string
	}{
		"failed at once": {respondOK(`{"id":"re_7","status":"failed"}`), "refund re_7 is failed"},
		"a success replayed, and gone": {
			respondOK(`{"id":"re_7","status":"succeeded"}`, "Idempotent-Replayed", "true"), "refund re_7 is succeeded",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, g, id := opened(t, "pm_card_visa")
			fake.fail("refund", c.made)
			err := g.Refund(context.Background(), "k", id, total)
			if !errors.Is(err, errKeyUsedUp) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a spent key, and %q", err, c.want)
			}
		})
	}
}

// nonsense lists responses to any call that are not of the form of the card processor's API, or about something else.
func nonsense() map[string]fault {
	const intent = `"id":"pi_1","object":"payment_intent","currency":"eur"`
	page := func(status int) fault {
		return func(w http.ResponseWriter, _ func()) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>")
		}
	}
	return map[string]fault{
		"page":              page(200),
		"page and 404":      page(404),
		"page and 500":      page(500),
		"redirect":          respond(307, `{`+intent+`,"amount":1999,"status":"succeeded"}`, []string{"Location", "/v1/payment_intents"}),
		"truncated":         respondOK(`{` + intent + `,"amo`),
		"empty":             respondOK(``),
		"empty object":      respondOK(`{}`),
		"array":             respondOK(`[]`),
		"null":              respondOK(`null`),
		"string as amount":  respondOK(`{` + intent + `,"amount":"1999","status":"succeeded"}`),
		"other amount":      respondOK(`{` + intent + `,"amount":199900,"amount_received":199900,"status":"succeeded"}`),
		"part of amount":    respondOK(`{` + intent + `,"amount":1999,"amount_received":1,"status":"succeeded"}`),
		"other currency":    respondOK(`{"id":"pi_1","currency":"jpy","amount":1999,"amount_received":1999,"status":"succeeded"}`),
		"unknown status":    respondOK(`{` + intent + `,"amount":1999,"status":"\u0000sleeping"}`),
		"empty id":          respondOK(`{"id":"","currency":"eur","amount":1999,"amount_received":1999,"status":"succeeded"}`),
		"NUL in the id":     respondOK(`{"id":"pi_\u0000","currency":"eur","amount":1999,"status":"requires_confirmation"}`),
		"long id":           respondOK(`{"id":"pi_` + strings.Repeat("x", 5000) + `","currency":"eur","amount":1999,"status":"requires_confirmation"}`),
		"long body":         respondOK(`{` + intent + `,"amount":1999,"x":"` + strings.Repeat("x", 10<<20) + `"}`),
		"deep body":         respondOK(strings.Repeat(`[`, 100_000)),
		"error as text":     respond(400, `{"error":"`+strings.Repeat(`\u0000`, 5000)+`"}`, nil),
		"error of a proxy":  respond(404, `{"message":"no Route matched with those values"}`, nil),
		"error of no type":  respondError(400, `{"code":"`+strings.Repeat(`\u0000`, 5000)+`"}`),
		"decline with 500":  respondError(500, `{"type":"card_error","code":"card_declined"}`),
		"list of strings":   respondOK(`{"object":"list","data":["re_1"]}`),
		"list of null":      respondOK(`{"object":"list","data":[null]}`),
		"list without end":  respondOK(`{"object":"list","has_more":true,"data":[]}`),
		"list of another":   respondOK(`{"object":"list","data":[{"id":"re_9","amount":1999,"currency":"jpy","status":"succeeded"}]}`),
		"list with a twice": respondOK(`{"object":"list","data":[` + halfRefund + `,` + halfRefund + `]}`),
		"negative refund":   respondOK(`{"object":"list","data":[{"id":"re_9","amount":-5,"currency":"eur","status":"succeeded"}]}`),
		"too large refund":  respondOK(`{"object":"list","data":[{"id":"re_9","amount":2000,"currency":"eur","status":"succeeded"}]}`),
	}
}

const halfRefund = `{"id":"re_9","amount":1000,"currency":"eur","status":"succeeded"}`

func TestDeclineCode_IsCleaned(t *testing.T) {
	t.Parallel()
	fake := newFakeProcessor(t)
	fake.fail("create", respondError(402, `{"type":"card_error","decline_code":"lost\u0000card`+strings.Repeat("x", 5000)+`"}`))
	got, err := fake.gateway(t).Create(context.Background(), "k", "order", total, "pm_1")
	want := Intent{Status: IntentDeclined, Code: "lost card" + strings.Repeat("x", maxText-9)}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestRefund_ReadsEveryPage(t *testing.T) {
	t.Parallel()
	fake, g, id := opened(t, "pm_card_visa")
	fake.intents[id].status = "succeeded"
	fake.fail("refunds",
		respondOK(`{"object":"list","has_more":true,"data":[`+halfRefund+`]}`),
		respondOK(`{"object":"list","has_more":false,"data":[{"id":"re_8","amount":999,"currency":"eur","status":"pending"}]}`))
	if err := g.Refund(context.Background(), "k", id, total); err != nil || fake.count("refund") != 0 {
		t.Errorf("got %v after %d refunds", err, fake.count("refund"))
	}
}

func TestConfirm_ClosesIntentOfRefusedRequest(t *testing.T) {
	t.Parallel()
	fake, g, id := opened(t, "pm_card_visa")
	fake.fail("confirm", respondError(400, badCard))
	got, err := g.Confirm(context.Background(), "k", id, total)
	want := Intent{ID: id, Status: IntentDeclined, Code: "resource_missing"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if status := fake.intents[id].status; status != "canceled" {
		t.Errorf("the intent is left as %s", status)
	}
}
