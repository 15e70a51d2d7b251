package order

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

var (
	meter = otel.Meter("github.com/quadrille-dev/quadrille/services/order")

	// The last boundaries are those of real parcels.
	durations, _ = meter.Float64Histogram("orders.duration", metric.WithUnit("s"),
		metric.WithDescription("From the order until its end, by outcome and, for cancelled ones, reason."),
		metric.WithExplicitBucketBoundaries(.5, 1, 2.5, 5, 7.5, 10, 15, 30, 60, 300, 900, 3600, 6*3600, 86400, 3*86400, 7*86400))
	rejections, _ = meter.Int64Counter("orders.rejections",
		metric.WithDescription("Refusals that orders have heard, by the event that said so."))
	open, _ = meter.Int64ObservableGauge("orders.open",
		metric.WithDescription("Orders that have not ended, by state."))
	stalled, _ = meter.Int64ObservableGauge("orders.stalled",
		metric.WithDescription("Orders that have waited for longer than they should, by the service that owes them the next fact."))
)

// countEnd measures an order that has just ended. A transaction that is rolled back and repeated counts twice.
func countEnd(ctx context.Context, o *Order, at time.Time) {
	durations.Record(ctx, max(0, at.Sub(o.PlacedAt)).Seconds(), metric.WithAttributes(
		attribute.String("outcome", string(o.State())), attribute.String("reason", string(o.Reason))))
}

// countRefusal counts what one of the others would not do.
func countRejection(ctx context.Context, eventType string) {
	rejections.Add(ctx, 1, metric.WithAttributes(attribute.String("event", eventType)))
}

// countLimit bounds the query behind the gauges: a database that hangs must not keep the process from being scraped.
const countLimit = time.Second

// Measure shows how many orders are where, until stop is called. Each collection asks the database once.
func (s *Service) Measure() (stop func() error, err error) {
	// A counter that first appeared with its first refusal would not show that one as an increase.
	for _, refusal := range []events.ETO{
		contracts.InventoryReservationFailed{}, contracts.PaymentFailed{}, contracts.ShipmentFailed{}, contracts.ShipmentCancelRefused{},
	} {
		rejections.Add(context.Background(), 0, metric.WithAttributes(attribute.String("event", refusal.EventType())))
	}
	r, err := meter.RegisterCallback(func(ctx context.Context, obs metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, countLimit)
		defer cancel()
		groups, err := countOpen(s.db.WithContext(ctx))
		if err != nil {
			return err
		}
		inState, owed := map[State]int64{}, map[string]int64{}
		for _, m := range way {
			owed[m.Service] = 0
		}
		for _, state := range States {
			if !state.Ended() {
				inState[state] = 0
			}
		}
		for _, g := range groups {
			o := g.toOrder()
			inState[o.State()] += g.Count
			if wait, waits := o.WaitingOn(); waits && o.Stalled {
				owed[wait.Service] += g.Count
			}
		}
		for state, n := range inState {
			obs.ObserveInt64(open, n, metric.WithAttributes(attribute.String("state", string(state))))
		}
		for service, n := range owed {
			obs.ObserveInt64(stalled, n, metric.WithAttributes(attribute.String("waiting_on", service)))
		}
		return nil
	}, open, stalled)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
