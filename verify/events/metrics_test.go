package events_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// measured returns the current values: sums, gauges, and the counts of histograms. It omits attributes that are the same
// in the whole test.
func measured(t *testing.T, reader sdkmetric.Reader) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			note := func(attributes attribute.Set, value float64) {
				name := m.Name
				for _, a := range attributes.ToSlice() { // sorted by key
					if a.Key != "service" && a.Key != "messaging.system" {
						name += fmt.Sprintf(" %s=%s", a.Key, a.Value.String())
					}
				}
				got[name] += value
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					note(p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					note(p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					if p.Value > 0 {
						note(p.Attributes, 1)
					}
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					note(p.Attributes, float64(p.Count))
				}
			default:
				t.Fatalf("%s is a %T", m.Name, data)
			}
		}
	}
	return got
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	cfg := config()
	cfg.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	cfg.RetryDelays, cfg.Relay.MaxPublishAttempts = []time.Duration{time.Second}, 1
	db, tr := database(t), eventstest.NewTransport()
	tr.FailNext(transport.ErrUnroutable, nil, transport.ErrRejected)
	var well atomic.Bool
	start(t, db, tr, cfg, handle(func(context.Context, *gorm.DB, events.Received[orderCreated]) error {
		if well.Load() {
			return nil
		}
		return errNo
	}))
	publish(t, db, orderCreated{OrderID: "sent at the second try"})
	tr.WaitFor(t, "order.created.v1", "sent at the second try")
	publish(t, db, orderCreated{OrderID: "parked"})
	eventually(t, "one is parked and none waits", func() bool {
		return scan[string](t, db, "select concat(count(*), ' ', count(parked_at)) from outbox") == "1 1"
	})
	v := tr.Deliver(t, orderCreated{OrderID: "dead"})
	tr.Deliver(t, orderCreated{OrderID: "dead"}, eventstest.Following(v))
	well.Store(true)
	tr.Deliver(t, orderCreated{OrderID: "fine"})

	const (
		sent     = " messaging.destination.name=order:order.created.v1 messaging.operation.name=publish"
		consumed = " handler=order-created messaging.destination.name=order:order.created.v1:order.order-created messaging.operation.name=process"
		by       = " handler=order-created"
	)
	want := map[string]float64{
		"messaging.client.sent.messages" + sent:                       1,
		"messaging.client.sent.messages error.type=unroutable" + sent: 1,
		"messaging.client.sent.messages error.type=rejected" + sent:   1,
		"messaging.client.consumed.messages" + consumed:               3,
		"messaging.process.duration" + consumed:                       1,
		"messaging.process.duration error.type=_OTHER" + consumed:     2,
		"events.retried" + by:                                         1,
		"events.dead_lettered" + by + " reason=failed":                1,
		"events.dead_lettered" + by + " reason=permanent":             0,
		"events.dead_lettered" + by + " reason=undecodable":           0,
		"events.dead_lettered" + by + " reason=incompatible":          0,
		"events.dead_lettered" + by + " reason=delivery_limit":        0,
		"events.dead_lettered" + by + " reason=expired":               0,
		"events.dead_lettered" + by + " reason=overflow":              0,
		"events.dead_lettered" + by + " reason=rejected":              0,
		"events.parked":                    1,
		"events.publish.latency":           1,
		"events.consume.latency" + by:      1,
		"events.outbox.size state=waiting": 0,
		"events.outbox.size state=blocked": 0,
		"events.outbox.size state=parked":  1,
		"events.outbox.oldest_age":         1,
	}
	eventually(t, "the parked row is counted", func() bool { return measured(t, reader)["events.outbox.size state=parked"] == 1 })
	if diff := cmp.Diff(want, measured(t, reader)); diff != "" {
		t.Error(diff)
	}
}

// A database that hangs does not block the collection of the other metrics.
func TestMetrics_CollectedWhileDatabaseHangs(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	cfg := config()
	cfg.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	db := database(t)
	newBus(t, db, eventstest.NewTransport(), cfg)
	hanging := db.Begin()
	defer hanging.Rollback()
	exec(t, hanging, "lock table outbox in access exclusive mode")

	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err == nil || ctx.Err() != nil {
		t.Errorf("Collect returned %v while the outbox cannot be read; context: %v", err, ctx.Err())
	}
}
