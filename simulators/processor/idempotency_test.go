package processor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stripe/stripe-go/v85"
)

func TestIdempotency_ReplaysTheFirstAnswer(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	first, err := s.stripe.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
	if err != nil {
		t.Fatal(err)
	}
	if first.LastResponse.Header.Get("Idempotent-Replayed") != "" {
		t.Error("the first answer says that it is a replay")
	}
	if _, err := s.confirm(first.ID, ""); err != nil {
		t.Fatal(err)
	}
	again, err := s.stripe.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
	if err != nil {
		t.Fatal(err)
	}
	// As it was then, not as it is now.
	if again.ID != first.ID || again.Status != stripe.PaymentIntentStatusRequiresConfirmation {
		t.Errorf("replayed: %s %s", again.ID, again.Status)
	}
	if h := again.LastResponse.Header; h.Get("Idempotent-Replayed") != "true" ||
		h.Get("Original-Request") != first.LastResponse.Header.Get("Request-Id") {
		t.Errorf("headers of the replay: %v", h)
	}
	if got := s.books("").Totals.Intents; got != 1 {
		t.Errorf("%d intents", got)
	}
}

func TestIdempotency_RefusesOtherParametersAndOtherEndpoints(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in, err := s.stripe.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
	if err != nil {
		t.Fatal(err)
	}
	other := params("k", "o1", "pm_card_visa")
	other.Amount = new(int64(1))
	_, err = s.stripe.V1PaymentIntents.Create(t.Context(), other)
	s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeIdempotency, "")
	_, err = s.confirm(in.ID, "k")
	s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeIdempotency, "")
}

func TestIdempotency_SavesDeclines(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in := s.create("o1", "pm_card_chargeDeclined")
	var messages []string
	for range 2 {
		_, err := s.confirm(in.ID, "k")
		e := s.wantError(err, http.StatusPaymentRequired, stripe.ErrorTypeCard, stripe.ErrorCodeCardDeclined)
		messages = append(messages, e.ChargeID)
		if replayed := e.LastResponse.Header.Get("Idempotent-Replayed"); (replayed == "true") != (len(messages) == 2) {
			t.Errorf("answer %d: Idempotent-Replayed %q", len(messages), replayed)
		}
	}
	if messages[0] != messages[1] {
		t.Errorf("two charges were tried: %v", messages)
	}
}

func TestIdempotency_DoesNotSaveWhatWasNeverExecuted(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	bad := params("k", "o1", "pm_card_visa")
	bad.Currency = new("money")
	_, err := s.stripe.V1PaymentIntents.Create(t.Context(), bad)
	s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, "")

	stranger := client(s.url, "sk_test_stranger")
	_, err = stranger.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
	s.wantError(err, http.StatusUnauthorized, stripe.ErrorTypeInvalidRequest, "")

	s.switchOn(`{"match":{"operation":"create"},"action":"unavailable","times":2}`)
	for range 2 {
		_, err = s.stripe.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
		s.wantError(err, http.StatusServiceUnavailable, stripe.ErrorTypeAPI, "")
	}
	in, err := s.stripe.V1PaymentIntents.Create(t.Context(), params("k", "o1", "pm_card_visa"))
	if err != nil || in.LastResponse.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%+v, %v", in, err)
	}
}

func TestIdempotency_RefusesASecondRequestWhileTheFirstRuns(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in := s.create("o1", "pm_card_visa")
	s.switchOn(`{"match":{"operation":"confirm","orderId":"o1"},"action":"hold","times":1}`)
	first := make(chan error, 1)
	go func() { _, err := s.confirm(in.ID, "k"); first <- err }()
	s.waitFired(1)
	_, err := s.confirm(in.ID, "k")
	s.wantError(err, http.StatusConflict, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeIdempotencyKeyInUse)
	if got := s.status(in.ID); got != stripe.PaymentIntentStatusRequiresConfirmation {
		t.Errorf("a request that is held before its effect had it: %s", got)
	}
	s.reset()
	if err := <-first; err != nil {
		t.Error(err)
	}
	replay, err := s.confirm(in.ID, "k")
	if err != nil || replay.Status != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("%+v, %v", replay, err)
	}
}

func TestIdempotency_ManyAtOnceExecuteOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in := s.paid("o1")
	var wg sync.WaitGroup
	start := make(chan struct{})
	ids := make(chan string, 20)
	for range 20 {
		wg.Go(func() {
			<-start
			r, err := s.refund(in.ID, 100, "k")
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
	seen := map[string]bool{}
	for id := range ids {
		seen[id] = true
	}
	if len(seen) != 1 || s.books("o1").Totals.Refunds != 1 {
		t.Errorf("ids %v, books %+v", seen, s.books("o1"))
	}
}

func TestIdempotency_ForgottenKeysExecuteAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in := s.paid("o1")
	for n := range 3 {
		if _, err := s.refund(in.ID, 100, "k"); err != nil {
			t.Fatal(err)
		}
		if got := s.books("").Totals.Refunds; got != n+1 {
			t.Errorf("%d refunds, want %d", got, n+1)
		}
		s.operate(http.MethodDelete, "/ops/keys", "", nil)
		if n == 1 {
			s.close()
			s = open(t, s.dir)
		}
	}
}

func TestSwitch_SavedError500(t *testing.T) {
	t.Parallel()
	for action, captures := range map[string]int{"error500": 0, "error500_after": 1} {
		s := newShop(t)
		in := s.create("o1", "pm_card_visa")
		s.switchOn(fmt.Sprintf(`{"match":{"operation":"confirm"},"action":%q,"times":1}`, action))
		for n := range 3 {
			_, err := s.confirm(in.ID, "k")
			e := s.wantError(err, http.StatusInternalServerError, stripe.ErrorTypeAPI, "")
			if replayed := e.LastResponse.Header.Get("Idempotent-Replayed"); (replayed == "true") != (n > 0) {
				t.Errorf("%s: answer %d: Idempotent-Replayed %q", action, n, replayed)
			}
		}
		if got := s.books("").Totals.Captures; got != captures {
			t.Errorf("%s: %d captures, want %d", action, got, captures)
		}
		// What really happened can be read, and another key goes on from there.
		want := stripe.PaymentIntentStatusRequiresConfirmation
		if captures == 1 {
			want = stripe.PaymentIntentStatusSucceeded
		}
		if got := s.status(in.ID); got != want {
			t.Errorf("%s: %s, want %s", action, got, want)
		}
		_, err := s.confirm(in.ID, "k2")
		if captures == 0 && err != nil {
			t.Errorf("%s: another key: %v", action, err)
		}
		if captures == 1 {
			s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState)
		}
	}
}

func TestSwitch_LostAnswerCanBeReadAndReplayed(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in := s.create("o1", "pm_card_visa")
	s.switchOn(`{"match":{"operation":"confirm"},"action":"refuse","when":"after","times":1}`)
	_, err := s.confirm(in.ID, "k")
	if e := (*stripe.Error)(nil); err == nil || errors.As(err, &e) {
		t.Fatalf("the answer was not lost: %v", err)
	}
	s.waitFired(1)
	if got := s.status(in.ID); got != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("status %s", got)
	}
	again, err := s.confirm(in.ID, "k")
	if err != nil || again.LastResponse.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%+v, %v", again, err)
	}
	if got := s.books("o1").Totals.Captures; got != 1 {
		t.Errorf("%d captures", got)
	}
}

func TestSwitch_RefusedRequestHasNoEffect(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in := s.create("o1", "pm_card_visa") // so that the connection is a reused one
	s.switchOn(`{"match":{"operation":"confirm"},"action":"refuse","times":1}`)
	if _, err := s.confirm(in.ID, "k"); err == nil {
		t.Fatal("the request was not refused")
	}
	if got := s.status(in.ID); got != stripe.PaymentIntentStatusRequiresConfirmation {
		t.Errorf("status %s", got)
	}
	if _, err := s.confirm(in.ID, "k"); err != nil {
		t.Error(err)
	}
}

func TestSwitch_HeldRequestDiesWithItsClient(t *testing.T) {
	t.Parallel()
	for when, captures := range map[string]int{"before": 0, "after": 1} {
		s := newShop(t)
		in := s.create("o1", "pm_card_visa")
		s.switchOn(fmt.Sprintf(`{"match":{"operation":"confirm"},"action":"hold","when":%q,"times":1}`, when))
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			p := &stripe.PaymentIntentConfirmParams{}
			p.SetIdempotencyKey("k")
			_, err := s.stripe.V1PaymentIntents.Confirm(ctx, in.ID, p)
			left <- err
		}()
		s.waitFired(1)
		leave()
		if err := <-left; err == nil {
			t.Errorf("%s: answered", when)
		}
		// The key is in use until the processor has noticed that the client left; then it is free, or saved.
		for {
			_, err := s.confirm("pi_unheard_of", "k")
			var e *stripe.Error
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			if e.Code == stripe.ErrorCodeResourceMissing || when == "after" {
				break
			}
		}
		s.reset()
		if got := s.books("").Totals.Captures; got != captures {
			t.Errorf("%s: %d captures, want %d", when, got, captures)
		}
	}
}

func TestSwitch_SlowGoesOnAfterTheDelay(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.switchOn(`{"match":{"operation":"create"},"action":"slow","delay":"20ms"}`)
	if in := s.create("o1", "pm_card_visa"); in.Status != stripe.PaymentIntentStatusRequiresConfirmation {
		t.Errorf("status %s", in.Status)
	}
	s.waitFired(1)
}

func TestSwitches_AreReplacedListedAndRemoved(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var got struct {
		Rules []struct {
			ID     string
			Action string
			Delay  string
		}
	}
	s.operate(http.MethodPut, "/ops/switches", `{"rules":[{"action":"slow","delay":"1ms","times":1},{"action":"unavailable"}]}`, &got)
	if len(got.Rules) != 2 || got.Rules[0].Delay != "1ms" || got.Rules[1].Action != "unavailable" {
		t.Fatalf("%+v", got)
	}
	s.operate(http.MethodDelete, "/ops/switches/"+got.Rules[1].ID, "", nil)
	s.operate(http.MethodGet, "/ops/switches", "", &got)
	if len(got.Rules) != 1 || got.Rules[0].Action != "slow" {
		t.Errorf("%+v", got)
	}
	for body, want := range map[string]int{
		`{"action":"explode"}`:            http.StatusUnprocessableEntity,
		`{"action":"hold","colour":"x"}`:  http.StatusBadRequest,
		`{"action":"hold"}{}`:             http.StatusBadRequest,
		`{"action":"slow","delay":"now"}`: http.StatusBadRequest,
	} {
		if got, _ := s.ask(http.MethodPost, "/ops/switches", body); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
}
