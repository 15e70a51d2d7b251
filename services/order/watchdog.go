package order

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/aggregate"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// overdueBatch is the largest number of orders that one query reads.
const overdueBatch = 100

// Watch publishes order.stalled for orders that have waited for longer than they should. It blocks until ctx ends and
// returns nil. It changes nothing else about the orders. Several instances may run at once; each order is published
// once. An unavailable database is logged.
func (s *Service) Watch(ctx context.Context) error {
	every := min(max(min(s.timeouts.Services, s.timeouts.Carrier)/10, 50*time.Millisecond), time.Minute)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := s.publishOverdue(ctx); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "cannot publish all stalled orders", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// publishOverdue publishes all overdue orders, batch by batch. An order that fails, or that is not due after all, does not
// hold up those behind it: each batch continues after the last order of the one before.
func (s *Service) publishOverdue(ctx context.Context) error {
	at := now()
	return errors.Join(
		s.publishOverdueBy(ctx, overdueFilter{ForCarrier: false, Since: at.Add(-s.timeouts.Services), Limit: overdueBatch}),
		s.publishOverdueBy(ctx, overdueFilter{ForCarrier: true, Since: at.Add(-s.timeouts.Carrier), Limit: overdueBatch}),
	)
}

func (s *Service) publishOverdueBy(ctx context.Context, f overdueFilter) error {
	var failed error
	for {
		overdue, err := listOverdue(s.db.WithContext(ctx), f)
		if err != nil {
			return err
		}
		for _, o := range overdue {
			if err := s.publishStalled(ctx, o.ID); err != nil {
				failed = err // that of one order is enough to log
			}
		}
		if len(overdue) < f.Limit {
			return failed
		}
		f.After = overdue[len(overdue)-1]
	}
}

// publishStalled publishes order.stalled for one order, unless it has made progress since it was read.
func (s *Service) publishStalled(ctx context.Context, orderID string) error {
	from, err := findOrigin(s.db.WithContext(ctx), orderID)
	if err != nil {
		return err
	}
	ctx, span := telemetry.ContinueTrace(events.WithCorrelationID(ctx, from.CorrelationID), from.TraceParent, "watch order")
	defer span.End()
	var c *aggregate.Change[Order]
	err = database.Transaction(ctx, s.db, func(tx *gorm.DB) error {
		c, err = s.orders(nil).Apply(ctx, tx, orderID, func(o *Order) ([]contracts.ETO, error) {
			if at, waits := o.StallsAt(s.timeouts); !waits || now().Before(at) {
				return nil, nil
			}
			return o.Overdue(), nil
		})
		return err
	})
	if err == nil && !c.Noop {
		o := c.After
		next, _ := o.WaitingOn()
		slog.WarnContext(ctx, "order stalled", "order_id", orderID, "state", string(o.State()),
			"missing", next.Fact, "waiting_on", next.Service, "since", o.WaitingSince)
	}
	return err
}
