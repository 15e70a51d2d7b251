package shipping

import (
	"strings"
	"testing"
)

// The carrier knows nothing of traces: what it reports belongs to that of the booking all the same.
func TestTrace_ContinuesWithCarrierWebhook(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, order, paid, bookingRequested)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if err := s.DB.Exec("UPDATE shipments SET trace_parent = ?", trace).Error; err != nil {
		t.Fatal(err)
	}
	s.report(t, WebhookDispatched, WebhookDelivered)
	of := map[string]string{}
	for _, e := range s.AwaitPublished(t) {
		of[e.Type] = e.TraceParent
	}
	for _, eventType := range []string{"shipment.dispatched.v1", "shipment.delivered.v1"} {
		if !strings.HasPrefix(of[eventType], trace[:36]) {
			t.Errorf("%s has the trace context %q", eventType, of[eventType])
		}
	}
}
