package order

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// overdueBatch bounds how many orders are looked for at once.
const overdueBatch = 100

// Watch announces orders that have waited for longer than they should, until ctx ends. It changes nothing about them,
// and commands nobody: it is a watchdog. Several instances may watch at once; each order is announced once. A database
// that is away is only logged. It always returns nil.
func (s *Service) Watch(ctx context.Context) error {
	every := min(max(min(s.timeouts.Services, s.timeouts.Carrier)/10, 50*time.Millisecond), time.Minute)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := s.announceOverdue(ctx); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "stalled orders were not all announced", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// announceOverdue announces all there are, however many.
func (s *Service) announceOverdue(ctx context.Context) error {
	for {
		overdue, err := listOverdue(s.db.WithContext(ctx), now().Add(-s.timeouts.Services), now().Add(-s.timeouts.Carrier), overdueBatch)
		if err != nil {
			return err
		}
		var errs []error
		for _, o := range overdue {
			errs = append(errs, s.announce(ctx, o.ID))
		}
		if err := errors.Join(errs...); err != nil || len(overdue) < overdueBatch {
			return err
		}
	}
}

// announce tells of one order, if it has not got on meanwhile.
func (s *Service) announce(ctx context.Context, orderID string) error {
	from, err := findOrigin(s.db.WithContext(ctx), orderID)
	if err != nil {
		return err
	}
	ctx, span := telemetry.ContinueTrace(events.WithCorrelationID(ctx, from.CorrelationID), from.TraceParent, "watch order")
	defer span.End()
	var stalled *Order
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		o, err := lockOrder(tx, orderID)
		if err != nil {
			return err
		}
		if at, waits := o.StallsAt(s.timeouts); !waits || now().Before(at) {
			return nil
		}
		changed, err := s.apply(ctx, tx, o, (*Order).Overdue)
		if changed {
			stalled = o
		}
		return err
	})
	if err == nil && stalled != nil {
		wait, _ := stalled.WaitingOn()
		slog.WarnContext(ctx, "order stalled", "order_id", orderID, "state", string(stalled.State()),
			"waiting_for", wait.Fact, "from", wait.Service, "since", stalled.WaitingSince)
	}
	return err
}
