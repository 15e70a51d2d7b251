package order

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gorm.io/gorm"
)

// The states by whom an order in them waits for. It is the carrier who is slow if a parcel is, and that is normal.
var (
	waitsForShop    = []State{Pending, Reserved, Cancelling}
	waitsForCarrier = []State{Paid, Shipped}
	ended           = []State{Completed, Cancelled}
)

// overdueBatch bounds how many orders are looked at in one go.
const overdueBatch = 100

// Watch announces orders that have waited for longer than they should, until ctx ends. It changes nothing about them,
// and commands nobody: it is a watchdog. Several instances may watch at once; each order is announced once. A database
// that is away is only logged. It always returns nil.
func (s *Service) Watch(ctx context.Context) error {
	every := min(max(min(s.patience.Shop, s.patience.Carrier)/10, 50*time.Millisecond), time.Minute)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := s.announceOverdue(ctx); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "stalled orders were not looked for", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Service) announceOverdue(ctx context.Context) error {
	var errs []error
	for _, w := range []struct {
		states   []State
		patience time.Duration
	}{{waitsForShop, s.patience.Shop}, {waitsForCarrier, s.patience.Carrier}} {
		before := now().Add(-w.patience)
		overdue, err := listOverdue(s.db.WithContext(ctx), w.states, before, overdueBatch)
		errs = append(errs, err)
		for _, o := range overdue {
			errs = append(errs, s.announce(ctx, o.ID, o.State()))
		}
	}
	return errors.Join(errs...)
}

// announce tells of one order, if it is still in the state in which it has waited.
func (s *Service) announce(ctx context.Context, orderID string, waitedIn State) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		o, err := lockOrder(tx, orderID)
		if err != nil || o.State() != waitedIn || o.Stalled {
			return err
		}
		wait, _ := o.WaitsFor()
		slog.WarnContext(ctx, "order stalled", "order_id", o.ID, "state", string(o.State()),
			"waiting_for", wait.Fact, "from", wait.From, "since", o.WaitingSince)
		_, err = s.apply(ctx, tx, o, (*Order).Overdue)
		return err
	})
}
