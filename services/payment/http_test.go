package payment

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

func TestGetPayment_ReturnsState(t *testing.T) {
	t.Parallel()
	amount, nothing := &moneyJSON{1999, "EUR"}, &moneyJSON{0, "EUR"}
	visa, bad := orderCreated("o", "pm_card_visa"), orderCreated("o", "pm_card_chargeDeclined")
	for name, c := range map[string]struct {
		arrive []events.ETO
		want   paymentResponse
	}{
		"only stock": {
			[]events.ETO{reserved},
			paymentResponse{State: Waiting},
		},
		"charging": {
			[]events.ETO{visa, reserved},
			paymentResponse{State: Charging, Amount: amount, Captured: nothing, Refunded: nothing},
		},
		"charged": {
			[]events.ETO{visa, reserved, chargeRequested},
			paymentResponse{State: Charged, Amount: amount, Captured: amount, Refunded: nothing, PaymentID: "pi_1"},
		},
		"failed": {
			[]events.ETO{bad, reserved, chargeRequested},
			paymentResponse{
				State: Failed, Amount: amount, Captured: nothing, Refunded: nothing,
				PaymentID: "pi_1", DeclineCode: "generic_decline",
			},
		},
		"refunded": {
			[]events.ETO{visa, reserved, chargeRequested, cancelled, refundRequested},
			paymentResponse{
				State: Refunded, Amount: amount, Captured: amount, Refunded: amount,
				PaymentID: "pi_1", Reason: contracts.ReasonCustomer,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.Deliver(t, c.arrive...)
			rec := s.Get(t, "/api/v1/payments/o")
			var got paymentResponse
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK {
				t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
			}
			if got.CreatedAt.IsZero() || got.UpdatedAt.Before(got.CreatedAt) || got.CreatedAt.Location() != time.UTC {
				t.Errorf("times %v, %v", got.CreatedAt, got.UpdatedAt)
			}
			c.want.OrderID = "o"
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(paymentResponse{}, "CreatedAt", "UpdatedAt")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestGetPayment_UnknownIsNotFound(t *testing.T) {
	t.Parallel()
	service := newFixture(t)
	for _, id := range []string{"unknown", "%00", "%ff"} {
		rec := service.Get(t, "/api/v1/payments/"+id)
		if rec.Code != http.StatusNotFound || rec.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s %s", id, rec.Code, rec.Header().Get("Content-Type"), rec.Body)
		}
	}
}
