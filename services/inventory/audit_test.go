package inventory_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/inventory"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestAudit_ListsStockAndEvents(t *testing.T) {
	t.Parallel()
	p := serve(t)
	p.Reject("stuck")
	for _, sku := range []string{"fan", "lute"} {
		p.CallOK(t, http.MethodPut, "/api/v1/products/"+sku, silkFan, nil)
		p.CallOK(t, http.MethodPost, "/api/v1/products/"+sku+"/restock", `{"quantity":9}`, nil)
	}
	p.CallOK(t, http.MethodPost, "/api/v1/products/fan/restock", `{"quantity":1}`, nil)
	p.CallOK(t, http.MethodDelete, "/api/v1/products/lute", "", nil)
	p.Deliver(t, order("a-committed", item("fan", 3)), contracts.ShipmentDispatched{OrderID: "a-committed"})
	p.Deliver(t, order("b-failed", item("lute", 1)))
	p.Deliver(t, order("c-released", item("fan", 7)), contracts.PaymentFailed{OrderID: "c-released"})
	p.Deliver(t, contracts.PaymentVoided{OrderID: "d-tombstone"})
	p.Deliver(t, order("stuck", item("fan", 2)))

	audit := servicetest.ReadAudit[struct{ Products, Reservations []map[string]any }](t, p, 1)
	products := []map[string]any{
		{"sku": "fan", "received": 10.0, "onHand": 7.0, "reserved": 2.0, "deleted": false},
		{"sku": "lute", "received": 9.0, "onHand": 9.0, "reserved": 0.0, "deleted": true},
	}
	if diff := cmp.Diff(products, audit.Entries.Products); diff != "" {
		t.Errorf("products (-want +got):\n%s", diff)
	}
	line := func(id string, state inventory.State, items ...any) map[string]any {
		return map[string]any{"orderId": id, "state": string(state), "items": append([]any{}, items...)}
	}
	of := func(sku string, quantity float64) any { return map[string]any{"sku": sku, "quantity": quantity} }
	reservations := []map[string]any{
		line("a-committed", inventory.Committed, of("fan", 3)),
		line("b-failed", inventory.Failed, of("lute", 1)),
		line("c-released", inventory.Released, of("fan", 7)),
		line("d-tombstone", inventory.Tombstone),
		line("stuck", inventory.Reserved, of("fan", 2)),
	}
	if diff := cmp.Diff(reservations, audit.Entries.Reservations); diff != "" {
		t.Errorf("reservations (-want +got):\n%s", diff)
	}
	left := contracts.InventoryReserved{OrderID: "stuck"}
	audit.WantEvents(t, p, left, []string{
		"order-created a-committed-0", "order-created b-failed-0", "order-created c-released-0", "order-created stuck-0",
		"payment-failed c-released-1", "payment-voided d-tombstone-0", "shipment-dispatched a-committed-1",
	})
}
