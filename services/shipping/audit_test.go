package shipping

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestAudit_ListsShipmentsAndEvents(t *testing.T) {
	t.Parallel()
	p := serve(t)
	p.Reject("stuck")
	p.Deliver(t, orderFor("a-booked"), paidFor("a-booked"), bookingRequestedFor("a-booked"))
	p.Deliver(t, orderFor("b-cancelling"), paidFor("b-cancelling"), bookingRequestedFor("b-cancelling"), customerCancelsFor("b-cancelling"))
	p.Deliver(t, paidFor("c-waiting"))
	p.Deliver(t, customerCancelsFor("stuck"))

	audit := servicetest.ReadAudit[struct{ Shipments []map[string]any }](t, p, 1)
	want := []map[string]any{
		{"orderId": "a-booked", "state": "booked", "shipmentId": "shp_a-booked"},
		{"orderId": "b-cancelling", "state": "cancelling", "shipmentId": "shp_b-cancelling"},
		{"orderId": "c-waiting", "state": "waiting", "shipmentId": ""},
		{"orderId": "stuck", "state": "cancelled", "shipmentId": ""},
	}
	if diff := cmp.Diff(want, audit.Entries.Shipments); diff != "" {
		t.Errorf("shipments (-want +got):\n%s", diff)
	}
	audit.WantEvents(t, p, contracts.ShipmentCancelled{OrderID: "stuck"}, []string{
		"order-cancel-requested b-cancelling-3", "order-cancel-requested stuck-0", "order-created a-booked-0",
		"order-created b-cancelling-0", "payment-processed a-booked-1", "payment-processed b-cancelling-1",
		"payment-processed c-waiting-0", "shipment-booking-requested a-booked-2", "shipment-booking-requested b-cancelling-2",
	})
}
