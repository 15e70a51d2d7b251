package payment

import (
	"slices"
	"testing"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestMain(m *testing.M) { servicetest.Main(m) }

var template = servicetest.NewTemplate(New(nil, nil).Definition())

// fixture is the payment service under test, with a card processor whose faults the test chooses.
type fixture struct {
	*servicetest.Harness
	processor *fakeProcessor
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	fake := newFakeProcessor(t)
	return newFixtureWith(t, fake, fake.gateway(t))
}

func newFixtureWith(t *testing.T, fake *fakeProcessor, gateway *Gateway) *fixture {
	t.Helper()
	db := template.Open(t)
	return &fixture{servicetest.Start(t, db, New(db, gateway).Definition()), fake}
}

func orderCreated(id, method string) contracts.OrderCreated {
	return contracts.OrderCreated{
		OrderID: id, CustomerID: "c", Items: []contracts.Item{{SKU: "fan", Quantity: 1}},
		Total: contracts.Money{Amount: total.Amount, Currency: total.Currency}, PaymentMethod: method,
	}
}

// Events of other services about order o.
var (
	reserved       = contracts.InventoryReserved{OrderID: "o"}
	cancelled      = contracts.ShipmentCancelled{OrderID: "o", Reason: contracts.ReasonCustomer}
	undeliverable  = contracts.ShipmentFailed{OrderID: "o", Detail: "no such place"}
	orderCancelled = contracts.OrderCancelled{OrderID: "o", Reason: contracts.ReasonOutOfStock}
)

// Events of payment about order o.
var (
	chargeRequested = contracts.PaymentChargeRequested{OrderID: "o"}
	refundRequested = contracts.PaymentRefundRequested{OrderID: "o"}
	processed       = contracts.PaymentProcessed{OrderID: "o", PaymentID: "pi_1", Amount: contracts.Money(total)}
	declined        = contracts.PaymentFailed{OrderID: "o", Code: "generic_decline"}
)

func refunded(reason string) contracts.PaymentRefunded {
	return contracts.PaymentRefunded{OrderID: "o", Amount: contracts.Money(total), Reason: reason}
}

func voided(reason string) contracts.PaymentVoided {
	return contracts.PaymentVoided{OrderID: "o", Reason: reason}
}

// charging brings order o to the state in which it is charged.
func (s *fixture) charging(t *testing.T, method string) {
	t.Helper()
	s.Deliver(t, orderCreated("o", method), reserved)
}

// wantRow checks the state, and that a card is kept only as long as a charge can follow.
func (s *fixture) wantRow(t *testing.T, state State) paymentRow {
	t.Helper()
	r, err := findPayment(s.DB, "o")
	if err != nil {
		t.Fatal(err)
	}
	if r.Payment.State != state {
		t.Errorf("payment is %s, want %s", r.Payment.State, state)
	}
	if p := r.toPayment(); r.Payment.PaymentMethod != "" && state != Waiting && !p.ShouldCharge() {
		t.Errorf("the card is still kept while %s", state)
	}
	return r
}

// publishedTypes lists the types of what was published so far about the order, sorted.
func (s *fixture) publishedTypes(orderID string) []string {
	var types []string
	for _, e := range s.Transport.Published() {
		if e.Subject == orderID {
			types = append(types, e.Type)
		}
	}
	return slices.Sorted(slices.Values(types))
}
