package order_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

// Events are acknowledged at the first attempt and requests succeed, whatever step a migration is at.
func TestMigration_UnderLoad(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for _, table := range []string{"orders", "products", "idempotency_keys", "outbox", "inbox"} {
		servicetest.MigrateUnderLoad(t, s.DB, table, func(int) {
			rec := s.post(t, request(), uuid.NewString())
			id := servicetest.Decode[view](t, rec, http.StatusAccepted).ID
			s.Deliver(t, contracts.InventoryReserved{OrderID: id})
			if rec := s.Get(t, "/api/v1/orders/"+id); rec.Code != http.StatusOK {
				t.Errorf("GET: %d %s", rec.Code, rec.Body)
			}
			if rec := s.cancel(t, id); rec.Code != http.StatusAccepted {
				t.Errorf("cancel: %d %s", rec.Code, rec.Body)
			}
		})
	}
}
