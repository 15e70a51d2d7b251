package processor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stripe/stripe-go/v85"
)

func TestIdempotency_ReplaysFirstResponse(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, err := h.stripe.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
	if err != nil {
		t.Fatal(err)
	}
	if first.LastResponse.Header.Get("Idempotent-Replayed") != "" {
		t.Error("the first response is marked as a replay")
	}
	if _, err := h.confirm(first.ID, ""); err != nil {
		t.Fatal(err)
	}
	again, err := h.stripe.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
	if err != nil {
		t.Fatal(err)
	}
	// The replay has the status at the time of the first response.
	if again.ID != first.ID || again.Status != stripe.PaymentIntentStatusRequiresConfirmation {
		t.Errorf("replayed: %s %s", again.ID, again.Status)
	}
	if h := again.LastResponse.Header; h.Get("Idempotent-Replayed") != "true" ||
		h.Get("Original-Request") != first.LastResponse.Header.Get("Request-Id") {
		t.Errorf("headers of the replay: %v", h)
	}
	if got := h.audit("").Totals.Intents; got != 1 {
		t.Errorf("%d intents", got)
	}
}

func TestIdempotency_RejectsOtherParameters(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in, err := h.stripe.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
	if err != nil {
		t.Fatal(err)
	}
	other := params("k", "o1", "pm_card_visa")
	other.Amount = new(int64(1))
	_, err = h.stripe.V1PaymentIntents.Create(t.Context(), other)
	h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeIdempotency, "")
	_, err = h.confirm(in.ID, "k")
	h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeIdempotency, "")
}

func TestIdempotency_SavesDeclines(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in := h.create("o1", "pm_card_chargeDeclined")
	var messages []string
	for range 2 {
		_, err := h.confirm(in.ID, "k")
		e := h.wantError(err, http.StatusPaymentRequired, stripe.ErrorTypeCard, stripe.ErrorCodeCardDeclined)
		messages = append(messages, e.ChargeID)
		if replayed := e.LastResponse.Header.Get("Idempotent-Replayed"); (replayed == "true") != (len(messages) == 2) {
			t.Errorf("response %d: Idempotent-Replayed %q", len(messages), replayed)
		}
	}
	if messages[0] != messages[1] {
		t.Errorf("two charges were attempted: %v", messages)
	}
}

func TestIdempotency_SavesNothingBeforeExecution(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	bad := params("k", "o1", "pm_card_visa")
	bad.Currency = new("money")
	_, err := h.stripe.V1PaymentIntents.Create(t.Context(), bad)
	h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, "")

	unauthorized := client(h.url, "sk_test_other")
	_, err = unauthorized.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
	h.wantError(err, http.StatusUnauthorized, stripe.ErrorTypeInvalidRequest, "")

	h.inject(`{"match":{"operation":"create"},"action":"unavailable","times":2}`)
	for range 2 {
		_, err = h.stripe.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
		h.wantError(err, http.StatusServiceUnavailable, stripe.ErrorTypeAPI, "")
	}
	in, err := h.stripe.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
	if err != nil || in.LastResponse.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%+v, %v", in, err)
	}
}

func TestFault_NonsenseSavesResult(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for when, replayed := range map[string]string{"before": "", "after": "true"} {
		h.inject(fmt.Sprintf(`{"match":{"operation":"create"},"action":"nonsense","when":%q,"times":1}`, when))
		_, err := h.stripe.V1PaymentIntents.Create(t.Context(), params(when, "o1", "pm_card_visa"))
		if err == nil || !strings.Contains(err.Error(), "<html>") {
			t.Errorf("%s: got %v", when, err)
		}
		in, err := h.stripe.V1PaymentIntents.Create(t.Context(), params(when, "o1", "pm_card_visa"))
		if err != nil || in.LastResponse.Header.Get("Idempotent-Replayed") != replayed {
			t.Errorf("%s: %+v, %v", when, in, err)
		}
	}
}

func TestIdempotency_RejectsKeyInUse(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in := h.create("o1", "pm_card_visa")
	h.inject(`{"match":{"operation":"confirm","orderId":"o1"},"action":"pause","times":1}`)
	first := make(chan error, 1)
	go func() { _, err := h.confirm(in.ID, "k"); first <- err }()
	h.waitFired(1)
	_, err := h.confirm(in.ID, "k")
	h.wantError(err, http.StatusConflict, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeIdempotencyKeyInUse)
	if got := h.status(in.ID); got != stripe.PaymentIntentStatusRequiresConfirmation {
		t.Errorf("a request paused before its effect had the effect: %s", got)
	}
	h.reset()
	if err := <-first; err != nil {
		t.Error(err)
	}
	replay, err := h.confirm(in.ID, "k")
	if err != nil || replay.Status != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("%+v, %v", replay, err)
	}
}

func TestIdempotency_ConcurrentRequestsExecuteOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in := h.paid("o1")
	var wg sync.WaitGroup
	start := make(chan struct{})
	ids := make(chan string, 20)
	for range 20 {
		wg.Go(func() {
			<-start
			r, err := h.refund(in.ID, 100, "k")
			var e *stripe.Error
			switch {
			case err == nil:
				ids <- r.ID
			case errors.As(err, &e) && e.Code == stripe.ErrorCodeIdempotencyKeyInUse:
			default:
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	close(ids)
	distinct := map[string]bool{}
	for id := range ids {
		distinct[id] = true
	}
	if len(distinct) != 1 || h.audit("o1").Totals.Refunds != 1 {
		t.Errorf("ids %v, audit %+v", distinct, h.audit("o1"))
	}
}

func TestIdempotency_PurgedKeyExecutesAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in := h.paid("o1")
	for n := range 3 {
		if _, err := h.refund(in.ID, 100, "k"); err != nil {
			t.Fatal(err)
		}
		if got := h.audit("").Totals.Refunds; got != n+1 {
			t.Errorf("%d refunds, want %d", got, n+1)
		}
		h.operate(http.MethodDelete, "/ops/keys", "", nil)
		if n == 1 {
			h.close()
			h = open(t, h.dir)
		}
	}
}

func TestFault_Error500IsSaved(t *testing.T) {
	t.Parallel()
	for action, captures := range map[string]int{"error500": 0, "error500_after": 1} {
		h := newHarness(t)
		in := h.create("o1", "pm_card_visa")
		h.inject(fmt.Sprintf(`{"match":{"operation":"confirm"},"action":%q,"times":1}`, action))
		for n := range 3 {
			_, err := h.confirm(in.ID, "k")
			e := h.wantError(err, http.StatusInternalServerError, stripe.ErrorTypeAPI, "")
			if replayed := e.LastResponse.Header.Get("Idempotent-Replayed"); (replayed == "true") != (n > 0) {
				t.Errorf("%s: response %d: Idempotent-Replayed %q", action, n, replayed)
			}
		}
		if got := h.audit("").Totals.Captures; got != captures {
			t.Errorf("%s: %d captures, want %d", action, got, captures)
		}
		// The actual state can be retrieved, and a request with another key continues from it.
		want := stripe.PaymentIntentStatusRequiresConfirmation
		if captures == 1 {
			want = stripe.PaymentIntentStatusSucceeded
		}
		if got := h.status(in.ID); got != want {
			t.Errorf("%s: %s, want %s", action, got, want)
		}
		_, err := h.confirm(in.ID, "k2")
		if captures == 0 && err != nil {
			t.Errorf("%s: another key: %v", action, err)
		}
		if captures == 1 {
			h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState)
		}
	}
}

func TestFault_LostResponseIsReplayed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in := h.create("o1", "pm_card_visa")
	h.inject(`{"match":{"operation":"confirm"},"action":"drop","when":"after","times":1}`)
	_, err := h.confirm(in.ID, "k")
	if e := (*stripe.Error)(nil); err == nil || errors.As(err, &e) {
		t.Fatalf("the response was not lost: %v", err)
	}
	h.waitFired(1)
	if got := h.status(in.ID); got != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("status %s", got)
	}
	again, err := h.confirm(in.ID, "k")
	if err != nil || again.LastResponse.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%+v, %v", again, err)
	}
	if got := h.audit("o1").Totals.Captures; got != 1 {
		t.Errorf("%d captures", got)
	}
}

func TestFault_DroppedRequestHasNoEffect(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in := h.create("o1", "pm_card_visa") // so that the connection is reused
	h.inject(`{"match":{"operation":"confirm"},"action":"drop","times":1}`)
	if _, err := h.confirm(in.ID, "k"); err == nil {
		t.Fatal("the request was not dropped")
	}
	if got := h.status(in.ID); got != stripe.PaymentIntentStatusRequiresConfirmation {
		t.Errorf("status %s", got)
	}
	if _, err := h.confirm(in.ID, "k"); err != nil {
		t.Error(err)
	}
}

func TestFault_PauseEndsWhenClientDisconnects(t *testing.T) {
	t.Parallel()
	for when, captures := range map[string]int{"before": 0, "after": 1} {
		h := newHarness(t)
		in := h.create("o1", "pm_card_visa")
		h.inject(fmt.Sprintf(`{"match":{"operation":"confirm"},"action":"pause","when":%q,"times":1}`, when))
		ctx, disconnect := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			p := &stripe.PaymentIntentConfirmParams{}
			p.SetIdempotencyKey("k")
			_, err := h.stripe.V1PaymentIntents.Confirm(ctx, in.ID, p)
			failed <- err
		}()
		h.waitFired(1)
		disconnect()
		if err := <-failed; err == nil {
			t.Errorf("%s: got a response", when)
		}
		// The key stays in use until the processor detects the disconnect. Then it is free, or has a saved response.
		for {
			_, err := h.confirm("pi_unknown", "k")
			var e *stripe.Error
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			if e.Code == stripe.ErrorCodeResourceMissing || when == "after" {
				break
			}
		}
		h.reset()
		if got := h.audit("").Totals.Captures; got != captures {
			t.Errorf("%s: %d captures, want %d", when, got, captures)
		}
	}
}

func TestFault_DelayedRequestSucceeds(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.inject(`{"match":{"operation":"create"},"action":"delay","delay":"20ms"}`)
	if in := h.create("o1", "pm_card_visa"); in.Status != stripe.PaymentIntentStatusRequiresConfirmation {
		t.Errorf("status %s", in.Status)
	}
	h.waitFired(1)
}

func TestFaults_ReplaceListRemove(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var got struct {
		Faults []struct {
			ID     string
			Action string
			Delay  string
		}
	}
	h.operate(http.MethodPut, "/ops/faults", `{"faults":[{"action":"delay","delay":"1ms","times":1},{"action":"unavailable"}]}`, &got)
	if len(got.Faults) != 2 || got.Faults[0].Delay != "1ms" || got.Faults[1].Action != "unavailable" {
		t.Fatalf("%+v", got)
	}
	h.operate(http.MethodDelete, "/ops/faults/"+got.Faults[1].ID, "", nil)
	h.operate(http.MethodGet, "/ops/faults", "", &got)
	if len(got.Faults) != 1 || got.Faults[0].Action != "delay" {
		t.Errorf("%+v", got)
	}
	for body, want := range map[string]int{
		`{"action":"explode"}`:             http.StatusUnprocessableEntity,
		`{"action":"pause","colour":"x"}`:  http.StatusBadRequest,
		`{"action":"pause"}{}`:             http.StatusBadRequest,
		`{"action":"delay","delay":"now"}`: http.StatusBadRequest,
	} {
		if got, _ := h.send(http.MethodPost, "/ops/faults", body); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
}
