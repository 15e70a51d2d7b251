package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
)

// cancel applies the customer's request to cancel and returns the order. The error is errUnknownOrder, or a
// *TooLateError if the order cannot be cancelled any more.
func (s *Service) cancel(ctx context.Context, orderID string) (o *Order, err error) {
	from, err := findOrigin(s.db.WithContext(ctx), orderID)
	if err != nil {
		return nil, err
	}
	ctx, span := telemetry.ContinueTrace(ctx, from.TraceParent, "cancel order")
	defer span.End()
	err = database.Transaction(ctx, s.db, func(tx *gorm.DB) error {
		c, err := s.orders(nil).Apply(ctx, tx, orderID, (*Order).Cancel)
		if err == nil {
			o = &c.After
		}
		return err
	})
	return o, err
}
