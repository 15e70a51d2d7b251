package payment

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestAudit_ListsPaymentsAndEvents(t *testing.T) {
	t.Parallel()
	p := serve(t)
	p.Reject("stuck")
	p.Deliver(t, orderCreated("a-charged", "pm_card_visa"), reservedFor("a-charged"), chargeRequestedFor("a-charged"))
	p.Deliver(t, orderCreated("b-declined", "pm_card_chargeDeclined"), reservedFor("b-declined"), chargeRequestedFor("b-declined"))
	p.Deliver(t, orderCreated("c-refunded", "pm_card_visa"), reservedFor("c-refunded"), chargeRequestedFor("c-refunded"),
		cancelledFor("c-refunded"), refundRequestedFor("c-refunded"))
	p.Deliver(t, orderCreated("d-refunding", "pm_card_visa"), reservedFor("d-refunding"), chargeRequestedFor("d-refunding"), cancelledFor("d-refunding"))
	p.Deliver(t, reservedFor("e-waiting"))
	p.Deliver(t, cancelledFor("stuck"))

	audit := servicetest.ReadAudit[struct{ Payments []map[string]any }](t, p, 1)
	line := func(id string, state State, amount Money, captured, refunded float64, intent string) map[string]any {
		return map[string]any{
			"orderId": id, "state": string(state), "captured": captured, "refunded": refunded, "paymentId": intent,
			"amount": map[string]any{"amount": float64(amount.Amount), "currency": amount.Currency},
		}
	}
	want := []map[string]any{
		line("a-charged", Charged, total, 1999, 0, "pi_1"),
		line("b-declined", Failed, total, 0, 0, "pi_2"),
		line("c-refunded", Refunded, total, 1999, 1999, "pi_3"),
		line("d-refunding", Refunding, total, 1999, 0, "pi_4"),
		line("e-waiting", Waiting, Money{}, 0, 0, ""),
		line("stuck", Voided, Money{}, 0, 0, ""),
	}
	if diff := cmp.Diff(want, audit.Entries.Payments); diff != "" {
		t.Errorf("payments (-want +got):\n%s", diff)
	}
	audit.WantEvents(t, p, contracts.PaymentVoided{OrderID: "stuck"}, []string{
		"inventory-reserved a-charged-1", "inventory-reserved b-declined-1", "inventory-reserved c-refunded-1",
		"inventory-reserved d-refunding-1", "inventory-reserved e-waiting-0",
		"order-created a-charged-0", "order-created b-declined-0", "order-created c-refunded-0", "order-created d-refunding-0",
		"payment-charge-requested a-charged-2", "payment-charge-requested b-declined-2", "payment-charge-requested c-refunded-2",
		"payment-charge-requested d-refunding-2", "payment-refund-requested c-refunded-4",
		"shipment-cancelled c-refunded-3", "shipment-cancelled d-refunding-3", "shipment-cancelled stuck-0",
	})
}
