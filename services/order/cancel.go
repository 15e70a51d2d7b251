package order

import (
	"context"

	"gorm.io/gorm"
)

// cancel passes on the customer's wish and answers the order as it is then. The error is a *TooLateError if nobody
// can grant it any more.
func (s *Service) cancel(ctx context.Context, orderID string) (*Order, error) {
	var after *Order
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var refusal error
		err := s.change(ctx, tx, orderID, func(o *Order) []Fact {
			var facts []Fact
			facts, refusal = o.Cancel()
			after = o
			return facts
		})
		if err != nil {
			return err
		}
		return refusal
	})
	return after, err
}
