package processor_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v85"
)

func TestConfirm_CapturesAmount(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	created := h.create("o1", "pm_card_visa")
	if created.Status != stripe.PaymentIntentStatusRequiresConfirmation || created.AmountReceived != 0 {
		t.Errorf("created: %s, received %d", created.Status, created.AmountReceived)
	}
	in, err := h.confirm(created.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	if in.ID != created.ID || in.Status != stripe.PaymentIntentStatusSucceeded || in.AmountReceived != 2599 ||
		in.Currency != stripe.CurrencyEUR || in.Metadata["order_id"] != "o1" || in.LatestCharge == nil {
		t.Errorf("confirmed: %+v", in)
	}
	if got := h.status(in.ID); got != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("retrieved: %s", got)
	}
	a := h.audit("o1")
	if len(a.PaymentIntents) != 1 || a.PaymentIntents[0].Captures != 1 || a.PaymentIntents[0].CapturedAt == nil ||
		a.PaymentIntents[0].OrderID != "o1" || a.Totals.Captured["eur"] != 2599 {
		t.Errorf("audit: %+v", a)
	}
}

func TestCreate_ConfirmTrue(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	p := params("", "o1", "pm_card_mastercard")
	p.Confirm = new(true)
	in, err := h.stripe.V1PaymentIntents.Create(t.Context(), p)
	if err != nil || in.Status != stripe.PaymentIntentStatusSucceeded {
		t.Fatalf("%+v, %v", in, err)
	}
	p = params("", "o2", "pm_card_chargeDeclined")
	p.Confirm = new(true)
	_, err = h.stripe.V1PaymentIntents.Create(t.Context(), p)
	e := h.wantError(err, http.StatusPaymentRequired, stripe.ErrorTypeCard, stripe.ErrorCodeCardDeclined)
	if e.PaymentIntent == nil || h.status(e.PaymentIntent.ID) != stripe.PaymentIntentStatusRequiresPaymentMethod {
		t.Errorf("the error has no declined intent: %+v", e.PaymentIntent)
	}
}

func TestConfirm_DeclinesTestPaymentMethods(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for method, want := range map[string]struct {
		code    stripe.ErrorCode
		decline stripe.DeclineCode
	}{
		"pm_card_chargeDeclined":                           {stripe.ErrorCodeCardDeclined, stripe.DeclineCodeGenericDecline},
		"pm_card_visa_chargeDeclined":                      {stripe.ErrorCodeCardDeclined, stripe.DeclineCodeGenericDecline},
		"pm_card_chargeDeclinedInsufficientFunds":          {stripe.ErrorCodeCardDeclined, stripe.DeclineCodeInsufficientFunds},
		"pm_card_visa_chargeDeclinedInsufficientFunds":     {stripe.ErrorCodeCardDeclined, stripe.DeclineCodeInsufficientFunds},
		"pm_card_visa_chargeDeclinedLostCard":              {stripe.ErrorCodeCardDeclined, stripe.DeclineCodeLostCard},
		"pm_card_visa_chargeDeclinedStolenCard":            {stripe.ErrorCodeCardDeclined, stripe.DeclineCodeStolenCard},
		"pm_card_visa_chargeDeclinedVelocityLimitExceeded": {stripe.ErrorCodeCardDeclined, stripe.DeclineCodeCardVelocityExceeded},
		"pm_card_chargeDeclinedExpiredCard":                {stripe.ErrorCodeExpiredCard, ""},
		"pm_card_chargeDeclinedIncorrectCvc":               {stripe.ErrorCodeIncorrectCVC, ""},
		"pm_card_chargeDeclinedProcessingError":            {stripe.ErrorCodeProcessingError, ""},
	} {
		in := h.create("o-"+method, method)
		_, err := h.confirm(in.ID, "")
		e := h.wantError(err, http.StatusPaymentRequired, stripe.ErrorTypeCard, want.code)
		if e.DeclineCode != want.decline || e.Msg == "" || e.ChargeID == "" {
			t.Errorf("%s: %+v", method, e)
		}
		if e.PaymentIntent == nil || e.PaymentIntent.Status != stripe.PaymentIntentStatusRequiresPaymentMethod ||
			e.PaymentIntent.LastPaymentError == nil || e.PaymentIntent.LastPaymentError.Code != want.code {
			t.Errorf("%s: embedded intent: %+v", method, e.PaymentIntent)
		}
		if got := h.status(in.ID); got != stripe.PaymentIntentStatusRequiresPaymentMethod {
			t.Errorf("%s: retrieved: %s", method, got)
		}
	}
	if got := h.audit("").Totals.Captures; got != 0 {
		t.Errorf("%d captures", got)
	}
}

func TestConfirm_RetriesWithAnotherCard(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in := h.create("o1", "pm_card_chargeDeclined")
	_, err := h.confirm(in.ID, "")
	h.wantError(err, http.StatusPaymentRequired, stripe.ErrorTypeCard, stripe.ErrorCodeCardDeclined)
	_, err = h.confirm(in.ID, "")
	h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState)
	in, err = h.stripe.V1PaymentIntents.Confirm(t.Context(), in.ID, &stripe.PaymentIntentConfirmParams{PaymentMethod: new("pm_card_visa")})
	if err != nil || in.Status != stripe.PaymentIntentStatusSucceeded || in.LastPaymentError != nil {
		t.Errorf("%+v, %v", in, err)
	}
}

func TestConfirm_RejectsFinishedIntent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in := h.paid("o1")
	_, err := h.confirm(in.ID, "")
	e := h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState)
	if e.PaymentIntent == nil || e.PaymentIntent.Status != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("embedded intent: %+v", e.PaymentIntent)
	}
	_, err = h.stripe.V1PaymentIntents.Cancel(t.Context(), in.ID, nil)
	h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState)
	if got := h.audit("o1").PaymentIntents[0].Captures; got != 1 {
		t.Errorf("captured %d times", got)
	}
}

func TestCancel_CancelsUnpaidIntent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in, err := h.stripe.V1PaymentIntents.Cancel(t.Context(), h.create("o1", "pm_card_visa").ID,
		&stripe.PaymentIntentCancelParams{CancellationReason: new("requested_by_customer")})
	if err != nil || in.Status != stripe.PaymentIntentStatusCanceled || in.CanceledAt == 0 ||
		in.CancellationReason != stripe.PaymentIntentCancellationReasonRequestedByCustomer {
		t.Fatalf("%+v, %v", in, err)
	}
	for _, err := range []error{
		func() error { _, err := h.confirm(in.ID, ""); return err }(),
		func() error { _, err := h.stripe.V1PaymentIntents.Cancel(t.Context(), in.ID, nil); return err }(),
	} {
		h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState)
	}
}

func TestRefund_LimitedToCapturedAmount(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in := h.paid("o1")
	first, err := h.refund(in.ID, 600, "")
	if err != nil || first.Amount != 600 || first.Status != stripe.RefundStatusSucceeded || first.PaymentIntent.ID != in.ID {
		t.Fatalf("%+v, %v", first, err)
	}
	_, err = h.refund(in.ID, 2000, "")
	e := h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, "")
	if e.Param != "amount" {
		t.Errorf("param %q", e.Param)
	}
	rest, err := h.refund(in.ID, 0, "")
	if err != nil || rest.Amount != 1999 {
		t.Fatalf("%+v, %v", rest, err)
	}
	_, err = h.refund(in.ID, 0, "")
	h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeChargeAlreadyRefunded)

	var listed []string
	for r, err := range h.stripe.V1Refunds.List(t.Context(), &stripe.RefundListParams{
		PaymentIntent: &in.ID, ListParams: stripe.ListParams{Limit: new(int64(1))},
	}).All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, r.ID)
	}
	if diff := cmp.Diff([]string{rest.ID, first.ID}, listed); diff != "" {
		t.Errorf("list: %s", diff)
	}
	got, err := h.stripe.V1Refunds.Retrieve(t.Context(), first.ID, nil)
	if err != nil || got.Amount != 600 || got.Currency != stripe.CurrencyEUR {
		t.Errorf("retrieve: %+v, %v", got, err)
	}
	if a := h.audit("o1"); a.Totals.Refunded["eur"] != 2599 || len(a.PaymentIntents[0].Refunds) != 2 {
		t.Errorf("audit: %+v", a)
	}
}

func TestRefund_RejectsUnpaidIntent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, err := h.refund(h.create("o1", "pm_card_visa").ID, 0, "")
	h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeChargeNotRefundable)
}

func TestRequests_MissingResources(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := t.Context()
	_, err := h.stripe.V1PaymentIntents.Create(ctx, params("", "o1", "pm_card_unknown"))
	e := h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing)
	if e.Param != "payment_method" {
		t.Errorf("param %q", e.Param)
	}
	_, err = h.stripe.V1PaymentIntents.Retrieve(ctx, "pi_unknown", nil)
	h.wantError(err, http.StatusNotFound, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing)
	_, err = h.confirm("pi_unknown", "")
	h.wantError(err, http.StatusNotFound, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing)
	_, err = h.refund("pi_unknown", 0, "")
	h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing)
	_, err = h.stripe.V1Refunds.Retrieve(ctx, "re_unknown", nil)
	h.wantError(err, http.StatusNotFound, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing)
	if got := h.audit("").Totals.Intents; got != 0 {
		t.Errorf("%d intents", got)
	}
}

func TestRequests_AreValidated(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for body, code := range map[string]stripe.ErrorCode{
		"currency=eur":                                     stripe.ErrorCodeParameterMissing,
		"amount=100":                                       stripe.ErrorCodeParameterMissing,
		"amount=-1&currency=eur":                           stripe.ErrorCodeParameterInvalidInteger,
		"amount=1.5&currency=eur":                          stripe.ErrorCodeParameterInvalidInteger,
		"amount=999999999&currency=eur":                    stripe.ErrorCodeAmountTooLarge,
		"amount=100&currency=euro":                         "",
		"amount=100&currency=eur&confirm=perhaps":          "",
		"amount=100&currency=eur&capture_method=manual":    "",
		"amount=100&currency=eur&amonut=1":                 stripe.ErrorCodeParameterUnknown,
		"amount=100&currency=eur&shipping[name]=x":         stripe.ErrorCodeParameterUnknown,
		"amount=100&currency=%zz":                          "",
		"amount=100&currency=eur&metadata=flat":            stripe.ErrorCodeParameterUnknown,
		"amount=100&currency=eur&metadata[order_id]=o&x=y": stripe.ErrorCodeParameterUnknown,
	} {
		var got stripe.PaymentIntent
		err := h.sendRaw(http.MethodPost, "/v1/payment_intents", body, apiKey, &got)
		h.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, code)
	}
	err := h.sendRaw(http.MethodPost, "/v1/payment_intents", "description="+strings.Repeat("x", 1<<17), apiKey, nil)
	h.wantError(err, http.StatusRequestEntityTooLarge, stripe.ErrorTypeInvalidRequest, "")
	err = h.sendRaw(http.MethodGet, "/v1/unknown", "", apiKey, nil)
	h.wantError(err, http.StatusNotFound, stripe.ErrorTypeInvalidRequest, "")
}

func TestRequests_RequireKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, key := range []string{"", "sk_test_other"} {
		err := h.sendRaw(http.MethodPost, "/v1/payment_intents", "amount=1&currency=eur", key, nil)
		h.wantError(err, http.StatusUnauthorized, stripe.ErrorTypeInvalidRequest, "")
	}
	for _, path := range []string{"/ops/audit", "/ops/faults"} {
		response, err := http.Get(h.url + path)
		if err != nil {
			t.Fatal(err)
		}
		if response.Body.Close(); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a token: %s", path, response.Status)
		}
	}
}

func TestNew_RestoresState(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for n := range 3 {
		in := h.paid(fmt.Sprint("paid-", n))
		if _, err := h.refund(in.ID, 100, ""); err != nil {
			t.Fatal(err)
		}
	}
	in := h.create("declined", "pm_card_chargeDeclined")
	_, _ = h.confirm(in.ID, "")
	unpaid, err := h.stripe.V1PaymentIntents.Create(t.Context(), params("key-1", "unpaid", "pm_card_visa"))
	if err != nil {
		t.Fatal(err)
	}
	before := h.audit("")
	h.close()

	h = open(t, h.dir)
	if diff := cmp.Diff(before, h.audit("")); diff != "" {
		t.Error(diff)
	}
	again, err := h.stripe.V1PaymentIntents.Create(t.Context(), params("key-1", "unpaid", "pm_card_visa"))
	if err != nil || again.ID != unpaid.ID || again.LastResponse.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("replay after restart: %+v, %v", again, err)
	}
	if diff := cmp.Diff(before, h.audit("")); diff != "" {
		t.Error(diff)
	}
}
