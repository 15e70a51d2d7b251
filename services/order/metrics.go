package order

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/quadrille-dev/quadrille/contracts"
)

var (
	meter = otel.Meter("github.com/quadrille-dev/quadrille/services/order")

	// The last boundaries are for the delivery times of real parcels.
	durations, _ = meter.Float64Histogram("orders.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from placing an order to its end, by outcome and, for cancelled orders, reason."),
		metric.WithExplicitBucketBoundaries(.5, 1, 2.5, 5, 7.5, 10, 15, 30, 60, 300, 900, 3600, 6*3600, 86400, 3*86400, 7*86400))
	rejections, _ = meter.Int64Counter("orders.rejections",
		metric.WithDescription("Events that reject a step of an order, by event."))
	open, _ = meter.Int64ObservableGauge("orders.open",
		metric.WithDescription("Orders that have not ended, by state."))
	stalled, _ = meter.Int64ObservableGauge("orders.stalled",
		metric.WithDescription("Orders that have waited for longer than they should, by the service that they wait on."))
)

// countEnd records the duration of an order that has just ended. A transaction that is rolled back and repeated counts
// twice.
func countEnd(ctx context.Context, o *Order, at time.Time) {
	durations.Record(ctx, max(0, at.Sub(o.PlacedAt)).Seconds(), metric.WithAttributes(
		attribute.String("outcome", string(o.State())), attribute.String("reason", string(o.Reason))))
}

// rejectionTypes are the types of the events that reject a step of an order.
var rejectionTypes = []string{
	contracts.InventoryReservationFailed{}.EventType(), contracts.PaymentFailed{}.EventType(),
	contracts.ShipmentFailed{}.EventType(), contracts.ShipmentCancelRefused{}.EventType(),
}

// countRejection counts an event if it rejects a step of an order.
func countRejection(ctx context.Context, eventType string) {
	if !slices.Contains(rejectionTypes, eventType) {
		return
	}
	rejections.Add(ctx, 1, metric.WithAttributes(attribute.String("event", eventType)))
}

// countTimeout bounds the query behind the gauges, so that a database that hangs does not block the metrics of the process.
const countTimeout = time.Second

// Measure registers the gauges of open and stalled orders until stop is called. Each collection makes one query.
func (s *Service) Measure() (stop func() error, err error) {
	// A counter that first appears with its first rejection would not show that one as an increase.
	for _, eventType := range rejectionTypes {
		rejections.Add(context.Background(), 0, metric.WithAttributes(attribute.String("event", eventType)))
	}
	r, err := meter.RegisterCallback(func(ctx context.Context, obs metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, countTimeout)
		defer cancel()
		groups, err := countOpen(s.db.WithContext(ctx))
		if err != nil {
			return err
		}
		inState, waitingOn := map[State]int64{}, map[string]int64{}
		for _, m := range milestones {
			waitingOn[m.Service] = 0
		}
		for _, state := range States {
			if !state.Ended() {
				inState[state] = 0
			}
		}
		for _, g := range groups {
			o := g.toOrder()
			inState[o.State()] += g.Count
			if next, waits := o.WaitingOn(); waits && o.Stalled {
				waitingOn[next.Service] += g.Count
			}
		}
		for state, n := range inState {
			obs.ObserveInt64(open, n, metric.WithAttributes(attribute.String("state", string(state))))
		}
		for service, n := range waitingOn {
			obs.ObserveInt64(stalled, n, metric.WithAttributes(attribute.String("waiting_on", service)))
		}
		return nil
	}, open, stalled)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
