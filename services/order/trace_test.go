package order_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/services/order"
)

// A second request of the customer, and the watchdog, belong to the order's trace, whatever else they belong to.
func TestTrace_ContinuesAfterRequest(t *testing.T) {
	t.Parallel()
	s := newFixtureWith(t, order.Timeouts{Payment: time.Hour, Services: time.Millisecond, Carrier: time.Hour})
	id := s.place(t)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if err := s.DB.Exec("UPDATE orders SET trace_parent = ? WHERE id = ?", trace, id).Error; err != nil {
		t.Fatal(err)
	}
	s.watch(t, 1)
	stalled := s.Transport.WaitFor(t, "order.stalled.v1", id)
	if rec := s.cancel(t, id); rec.Code != http.StatusAccepted {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	if placed := s.Transport.WaitFor(t, "order.created.v1", id); stalled.CorrelationID == "" || stalled.CorrelationID != placed.CorrelationID {
		t.Errorf("order.stalled belongs to the flow %q, the order to %q", stalled.CorrelationID, placed.CorrelationID)
	}
	asked := s.Transport.WaitFor(t, "order.cancel_requested.v1", id)
	for _, e := range []struct{ name, parent string }{{stalled.Type, stalled.TraceParent}, {asked.Type, asked.TraceParent}} {
		if !strings.HasPrefix(e.parent, trace[:36]) {
			t.Errorf("%s has the trace context %q", e.name, e.parent)
		}
	}
}
