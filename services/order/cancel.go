package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
)

// cancel passes on the customer's wish and answers the order as it is then. The error is errUnknownOrder, or a
// *TooLateError if nobody can grant the wish any more.
func (s *Service) cancel(ctx context.Context, orderID string) (o *Order, err error) {
	from, err := findOrigin(s.db.WithContext(ctx), orderID)
	if err != nil {
		return nil, err
	}
	ctx, span := telemetry.ContinueTrace(ctx, from.TraceParent, "cancel order")
	defer span.End()
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if o, err = lockOrder(tx, orderID); err != nil {
			return err
		}
		var noted []HistoryEntry
		if o.Observed.DeadlineAsked && !o.Observed.CustomerAsked && o.State() == Cancelling {
			noted = []HistoryEntry{{At: now(), Description: customerNoted}}
		}
		var refusal error
		_, err := s.apply(ctx, tx, o, func(o *Order) (facts []Fact) {
			facts, refusal = o.Cancel()
			return facts
		}, noted...)
		if err != nil {
			return err
		}
		return refusal
	})
	return o, err
}
