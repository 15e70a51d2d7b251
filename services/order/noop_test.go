package order_test

import (
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// TestNoop_CountsEventsThatChangeNothing is not parallel: the counter is the process's.
func TestNoop_CountsEventsThatChangeNothing(t *testing.T) {
	reader := meters()
	s := newFixture(t)
	id := s.place(t)
	for _, step := range []struct {
		name    string
		event   events.ETO // nil: the customer cancels
		ignored int64
		lines   int // that the history gains
	}{
		{"news", contracts.InventoryReserved{OrderID: id}, 0, 1},
		{"doubled", contracts.InventoryReserved{OrderID: id}, 1, 1},
		{"new fact, with a publication", contracts.PaymentProcessed{OrderID: id, PaymentID: "pi_1"}, 0, 2},
		{"a deadline without effect", contracts.OrderPaymentDeadlinePassed{OrderID: id}, 1, 0},
		{"a new detail", contracts.ShipmentCreated{OrderID: id, ShipmentID: "sh_1"}, 0, 1},
		{"a known detail", contracts.ShipmentCreated{OrderID: id, ShipmentID: "sh_1"}, 1, 1},
		{"a request", nil, 0, 1},
		{"a request that changes nothing", nil, 0, 0},
		{"the end", contracts.PaymentRefunded{OrderID: id, Reason: contracts.ReasonCustomer}, 0, 2},
		{"a second end", contracts.PaymentVoided{OrderID: id, Reason: contracts.ReasonCustomer}, 1, 1},
		{"a note", contracts.InventoryReleased{OrderID: id}, 0, 1},
		{"a request after the end", nil, 0, 0},
	} {
		ignored, lines := ignoredSoFar(t, reader), len(s.get(t, id).History)
		if step.event == nil {
			s.cancel(t, id)
		} else {
			s.Deliver(t, step.event)
		}
		if got := ignoredSoFar(t, reader) - ignored; got != step.ignored {
			t.Errorf("%s: counted %d as ignored, want %d", step.name, got, step.ignored)
		}
		if got := len(s.get(t, id).History) - lines; got != step.lines {
			t.Errorf("%s: %d lines of history, want %d", step.name, got, step.lines)
		}
	}
}

func ignoredSoFar(t *testing.T, reader metric.Reader) int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if counter, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "events.noop" {
				for _, point := range counter.DataPoints {
					sum += point.Value
				}
			}
		}
	}
	return sum
}
