package order_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/order"
)

// meters reads the process's instruments. They take the first provider that is set, and stay with it.
var meters = sync.OnceValue(func() sdkmetric.Reader {
	reader := sdkmetric.NewManualReader()
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	return reader
})

// Not parallel: the instruments are the process's, and so are all other tests' orders.
func TestMetrics_CountOrdersByStateAndOutcome(t *testing.T) {
	reader := meters()
	before := measured(t, reader)
	s := newFixtureWith(t, order.Timeouts{Payment: time.Hour, Services: time.Millisecond, Carrier: time.Hour})
	stop, err := s.service.Measure()
	if err != nil {
		t.Fatal(err)
	}
	pending, paid, short, sold := s.place(t), s.place(t), s.place(t), s.place(t)
	s.Deliver(t, contracts.InventoryReserved{OrderID: paid})
	s.Deliver(t, contracts.PaymentProcessed{OrderID: paid, PaymentID: "pi_1"})
	s.Deliver(t, contracts.ShipmentCreated{OrderID: paid, ShipmentID: "shp_1"}) // waits for the carrier
	s.Deliver(t, contracts.InventoryReservationFailed{OrderID: short})
	s.Deliver(t, contracts.ShipmentDelivered{OrderID: sold})
	s.watch(t, 1)
	s.Transport.WaitFor(t, "order.stalled.v1", pending)

	want := map[string]int64{
		"orders.open state=pending": 1, "orders.open state=reserved": 0, "orders.open state=paid": 1,
		"orders.open state=shipped": 0, "orders.open state=cancelling": 0,
		"orders.stalled waiting_on=inventory": 1, "orders.stalled waiting_on=payment": 0, "orders.stalled waiting_on=shipping": 0,
		"orders.rejections event=inventory.reservation_failed.v1": 1,
		"orders.rejections event=payment.failed.v1":               0, "orders.rejections event=shipment.failed.v1": 0,
		"orders.rejections event=shipment.cancel_refused.v1":    0,
		"orders.duration outcome=cancelled reason=out_of_stock": 1,
		"orders.duration outcome=completed reason=":             1,
	}
	got := measured(t, reader)
	for series, n := range before {
		if got[series] -= n; got[series] == 0 {
			delete(got, series)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// measured is what the order service has measured: sums and gauges, and of histograms how often.
func measured(t *testing.T, reader sdkmetric.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		if scope.Scope.Name != "github.com/quadrille-dev/quadrille/services/order" {
			continue
		}
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					got[seriesOf(m.Name, p.Attributes.ToSlice())] = p.Value
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					got[seriesOf(m.Name, p.Attributes.ToSlice())] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					got[seriesOf(m.Name, p.Attributes.ToSlice())] = int64(p.Count)
				}
			default:
				t.Fatalf("%s is a %T", m.Name, data)
			}
		}
	}
	return got
}

func seriesOf(name string, attributes []attribute.KeyValue) string {
	for _, a := range attributes {
		name += fmt.Sprintf(" %s=%s", a.Key, a.Value.String())
	}
	return name
}
