package processor_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v85"
)

func TestConfirm_CapturesTheAmount(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	created := s.create("o1", "pm_card_visa")
	if created.Status != stripe.PaymentIntentStatusRequiresConfirmation || created.AmountReceived != 0 {
		t.Errorf("created: %s, received %d", created.Status, created.AmountReceived)
	}
	in, err := s.confirm(created.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	if in.ID != created.ID || in.Status != stripe.PaymentIntentStatusSucceeded || in.AmountReceived != 2599 ||
		in.Currency != stripe.CurrencyEUR || in.Metadata["order_id"] != "o1" || in.LatestCharge == nil {
		t.Errorf("confirmed: %+v", in)
	}
	if got := s.status(in.ID); got != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("retrieved: %s", got)
	}
	b := s.books("o1")
	if len(b.PaymentIntents) != 1 || b.PaymentIntents[0].Captures != 1 || b.PaymentIntents[0].CapturedAt == nil ||
		b.PaymentIntents[0].OrderID != "o1" || b.Totals.Captured["eur"] != 2599 {
		t.Errorf("books: %+v", b)
	}
}

func TestCreate_ConfirmsAtOnceIfAsked(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := params("", "o1", "pm_card_mastercard")
	p.Confirm = new(true)
	in, err := s.stripe.V1PaymentIntents.Create(t.Context(), p)
	if err != nil || in.Status != stripe.PaymentIntentStatusSucceeded {
		t.Fatalf("%+v, %v", in, err)
	}
	p = params("", "o2", "pm_card_chargeDeclined")
	p.Confirm = new(true)
	_, err = s.stripe.V1PaymentIntents.Create(t.Context(), p)
	e := s.wantError(err, http.StatusPaymentRequired, stripe.ErrorTypeCard, stripe.ErrorCodeCardDeclined)
	if e.PaymentIntent == nil || s.status(e.PaymentIntent.ID) != stripe.PaymentIntentStatusRequiresPaymentMethod {
		t.Errorf("the declined intent is not there: %+v", e.PaymentIntent)
	}
}

func TestConfirm_DeclinesByTestPaymentMethod(t *testing.T) {
	t.Parallel()
	s := newShop(t)
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
		in := s.create("o-"+method, method)
		_, err := s.confirm(in.ID, "")
		e := s.wantError(err, http.StatusPaymentRequired, stripe.ErrorTypeCard, want.code)
		if e.DeclineCode != want.decline || e.Msg == "" || e.ChargeID == "" {
			t.Errorf("%s: %+v", method, e)
		}
		if e.PaymentIntent == nil || e.PaymentIntent.Status != stripe.PaymentIntentStatusRequiresPaymentMethod ||
			e.PaymentIntent.LastPaymentError == nil || e.PaymentIntent.LastPaymentError.Code != want.code {
			t.Errorf("%s: embedded intent: %+v", method, e.PaymentIntent)
		}
		if got := s.status(in.ID); got != stripe.PaymentIntentStatusRequiresPaymentMethod {
			t.Errorf("%s: retrieved: %s", method, got)
		}
	}
	if got := s.books("").Totals.Captures; got != 0 {
		t.Errorf("%d captures", got)
	}
}

func TestConfirm_TakesAnotherCardAfterADecline(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in := s.create("o1", "pm_card_chargeDeclined")
	_, err := s.confirm(in.ID, "")
	s.wantError(err, http.StatusPaymentRequired, stripe.ErrorTypeCard, stripe.ErrorCodeCardDeclined)
	_, err = s.confirm(in.ID, "")
	s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState)
	in, err = s.stripe.V1PaymentIntents.Confirm(t.Context(), in.ID, &stripe.PaymentIntentConfirmParams{PaymentMethod: new("pm_card_visa")})
	if err != nil || in.Status != stripe.PaymentIntentStatusSucceeded || in.LastPaymentError != nil {
		t.Errorf("%+v, %v", in, err)
	}
}

func TestConfirm_RefusesWhatIsOver(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in := s.paid("o1")
	_, err := s.confirm(in.ID, "")
	e := s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState)
	if e.PaymentIntent == nil || e.PaymentIntent.Status != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("embedded intent: %+v", e.PaymentIntent)
	}
	_, err = s.stripe.V1PaymentIntents.Cancel(t.Context(), in.ID, nil)
	s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState)
	if got := s.books("o1").PaymentIntents[0].Captures; got != 1 {
		t.Errorf("captured %d times", got)
	}
}

func TestCancel_EndsAnUnpaidIntent(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in, err := s.stripe.V1PaymentIntents.Cancel(t.Context(), s.create("o1", "pm_card_visa").ID,
		&stripe.PaymentIntentCancelParams{CancellationReason: new("requested_by_customer")})
	if err != nil || in.Status != stripe.PaymentIntentStatusCanceled || in.CanceledAt == 0 ||
		in.CancellationReason != stripe.PaymentIntentCancellationReasonRequestedByCustomer {
		t.Fatalf("%+v, %v", in, err)
	}
	for _, err := range []error{
		func() error { _, err := s.confirm(in.ID, ""); return err }(),
		func() error { _, err := s.stripe.V1PaymentIntents.Cancel(t.Context(), in.ID, nil); return err }(),
	} {
		s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState)
	}
}

func TestRefund_GivesBackAtMostWhatWasCaptured(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	in := s.paid("o1")
	first, err := s.refund(in.ID, 600, "")
	if err != nil || first.Amount != 600 || first.Status != stripe.RefundStatusSucceeded || first.PaymentIntent.ID != in.ID {
		t.Fatalf("%+v, %v", first, err)
	}
	_, err = s.refund(in.ID, 2000, "")
	e := s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, "")
	if e.Param != "amount" {
		t.Errorf("param %q", e.Param)
	}
	rest, err := s.refund(in.ID, 0, "")
	if err != nil || rest.Amount != 1999 {
		t.Fatalf("%+v, %v", rest, err)
	}
	_, err = s.refund(in.ID, 0, "")
	s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeChargeAlreadyRefunded)

	var listed []string
	for r, err := range s.stripe.V1Refunds.List(t.Context(), &stripe.RefundListParams{
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
	got, err := s.stripe.V1Refunds.Retrieve(t.Context(), first.ID, nil)
	if err != nil || got.Amount != 600 || got.Currency != stripe.CurrencyEUR {
		t.Errorf("retrieve: %+v, %v", got, err)
	}
	if b := s.books("o1"); b.Totals.Refunded["eur"] != 2599 || len(b.PaymentIntents[0].Refunds) != 2 {
		t.Errorf("books: %+v", b)
	}
}

func TestRefund_RefusesWhatWasNeverPaid(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	_, err := s.refund(s.create("o1", "pm_card_visa").ID, 0, "")
	s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeChargeNotRefundable)
}

func TestRequests_NameWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	_, err := s.stripe.V1PaymentIntents.Create(ctx, params("", "o1", "pm_card_unheard_of"))
	e := s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing)
	if e.Param != "payment_method" {
		t.Errorf("param %q", e.Param)
	}
	_, err = s.stripe.V1PaymentIntents.Retrieve(ctx, "pi_unheard_of", nil)
	s.wantError(err, http.StatusNotFound, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing)
	_, err = s.confirm("pi_unheard_of", "")
	s.wantError(err, http.StatusNotFound, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing)
	_, err = s.refund("pi_unheard_of", 0, "")
	s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing)
	_, err = s.stripe.V1Refunds.Retrieve(ctx, "re_unheard_of", nil)
	s.wantError(err, http.StatusNotFound, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing)
	if got := s.books("").Totals.Intents; got != 0 {
		t.Errorf("%d intents", got)
	}
}

func TestRequests_AreValidated(t *testing.T) {
	t.Parallel()
	s := newShop(t)
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
		err := s.raw(http.MethodPost, "/v1/payment_intents", body, apiKey, &got)
		s.wantError(err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, code)
	}
	err := s.raw(http.MethodPost, "/v1/payment_intents", "description="+strings.Repeat("x", 1<<17), apiKey, nil)
	s.wantError(err, http.StatusRequestEntityTooLarge, stripe.ErrorTypeInvalidRequest, "")
	err = s.raw(http.MethodGet, "/v1/tea", "", apiKey, nil)
	s.wantError(err, http.StatusNotFound, stripe.ErrorTypeInvalidRequest, "")
}

func TestRequests_NeedTheKey(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for _, key := range []string{"", "sk_test_other"} {
		err := s.raw(http.MethodPost, "/v1/payment_intents", "amount=1&currency=eur", key, nil)
		s.wantError(err, http.StatusUnauthorized, stripe.ErrorTypeInvalidRequest, "")
	}
	for _, path := range []string{"/ops/books", "/ops/switches"} {
		response, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		if response.Body.Close(); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a token: %s", path, response.Status)
		}
	}
}

func TestNew_RemembersEverything(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for n := range 3 {
		in := s.paid(fmt.Sprint("paid-", n))
		if _, err := s.refund(in.ID, 100, ""); err != nil {
			t.Fatal(err)
		}
	}
	in := s.create("declined", "pm_card_chargeDeclined")
	_, _ = s.confirm(in.ID, "")
	unpaid, err := s.stripe.V1PaymentIntents.Create(t.Context(), params("key-1", "unpaid", "pm_card_visa"))
	if err != nil {
		t.Fatal(err)
	}
	before := s.books("")
	s.close()

	s = open(t, s.dir)
	if diff := cmp.Diff(before, s.books("")); diff != "" {
		t.Error(diff)
	}
	again, err := s.stripe.V1PaymentIntents.Create(t.Context(), params("key-1", "unpaid", "pm_card_visa"))
	if err != nil || again.ID != unpaid.ID || again.LastResponse.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("replay after restart: %+v, %v", again, err)
	}
	if diff := cmp.Diff(before, s.books("")); diff != "" {
		t.Error(diff)
	}
}
