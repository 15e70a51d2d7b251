package shipping

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestMain(m *testing.M) { servicetest.Main(m) }

const secret = "whsec_test"

var template = servicetest.NewTemplate(New(nil, nil, secret).Definition())

// fixture is the shipping service under test, with a carrier whose faults the test chooses.
type fixture struct {
	*servicetest.Harness
	carrier *fakeCarrier
	service *Service
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	fake := newFakeCarrier(t)
	return newFixtureWith(t, fake, fake.client(t))
}

func newFixtureWith(t *testing.T, fake *fakeCarrier, carrier *Carrier) *fixture {
	t.Helper()
	db := template.Open(t)
	service := New(db, carrier, secret)
	return &fixture{servicetest.Start(t, db, service.Definition()), fake, service}
}

// Events of other services about order o.
var (
	order = contracts.OrderCreated{
		OrderID: "o", CustomerID: "c", Items: []contracts.Item{{SKU: "fan", Quantity: 2}},
		Total: contracts.Money{Amount: 1999, Currency: "EUR"}, ShippingAddress: contracts.Address(home),
	}
	paid             = contracts.PaymentProcessed{OrderID: "o", PaymentID: "pi_1"}
	customerCancels  = contracts.OrderCancelRequested{OrderID: "o", Reason: contracts.ReasonCustomer}
	deadlineCancels  = contracts.OrderCancelRequested{OrderID: "o", Reason: contracts.ReasonDeadline}
	orderIsCancelled = contracts.OrderCancelled{OrderID: "o", Reason: contracts.ReasonOutOfStock}
)

// Events of shipping about order o.
var (
	bookingRequested      = contracts.ShipmentBookingRequested{OrderID: "o"}
	cancellationRequested = contracts.ShipmentCancellationRequested{OrderID: "o"}
	booked                = contracts.ShipmentCreated{OrderID: "o", ShipmentID: "shp_o"}
	dispatched            = contracts.ShipmentDispatched{OrderID: "o", ShipmentID: "shp_o", Tracking: "QD1"}
	delivered             = contracts.ShipmentDelivered{OrderID: "o", ShipmentID: "shp_o"}
	refusedPaid           = contracts.ShipmentCancelRefused{OrderID: "o", Because: contracts.BecausePaid}
	refusedDispatched     = contracts.ShipmentCancelRefused{OrderID: "o", Because: contracts.BecauseDispatched}
)

func cancelled(reason string) contracts.ShipmentCancelled {
	return contracts.ShipmentCancelled{OrderID: "o", Reason: reason}
}

// wantRow checks the state, and that no address is kept once the carrier has the parcel, or none can follow.
func (s *fixture) wantRow(t *testing.T, state State) shipmentRow {
	t.Helper()
	r, err := findShipment(s.DB, "o")
	if err != nil {
		t.Fatal(err)
	}
	if r.Shipment.State != state {
		t.Errorf("shipment is %s, want %s", r.Shipment.State, state)
	}
	if ended := state == Cancelled || state == Dispatched || state == Delivered || state == Failed; ended && r.Shipment.Address != nil {
		t.Errorf("the address is still kept while %s", state)
	}
	return r
}

// post sends a webhook of the carrier.
func (s *fixture) post(t *testing.T, body, signature string) *httptest.ResponseRecorder {
	t.Helper()
	var headers []string
	if signature != "" {
		headers = append(headers, "Carrier-Signature: "+signature)
	}
	return s.Call(t, http.MethodPost, "/webhooks/carrier", body, headers...)
}

func notice(kind CarrierWebhookType, reference string) string {
	return `{"id":"n-` + string(kind) + `","type":"` + string(kind) + `","reference":"` + reference +
		`","shipmentId":"shp_` + reference + `","tracking":"QD1","occurredAt":"2026-01-02T03:04:05Z"}`
}

// report sends webhooks about order o with a valid signature, which must be accepted.
func (s *fixture) report(t *testing.T, kinds ...CarrierWebhookType) {
	t.Helper()
	for _, kind := range kinds {
		s.reportOf(t, "o", kind)
	}
}

// reportOf sends a webhook about an order with a valid signature, which must be accepted.
func (s *fixture) reportOf(t *testing.T, orderID string, kind CarrierWebhookType) {
	t.Helper()
	body := notice(kind, orderID)
	if rec := s.post(t, body, sign(secret, time.Now(), body)); rec.Code != http.StatusNoContent {
		t.Errorf("%s of %s: %d %s", kind, orderID, rec.Code, rec.Body)
	}
}
