package payment

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// doRefund gives back what was captured and answers whether that is done. It runs outside any transaction and may
// run again at any time, so it looks before it calls: at its own state, and then at what has been refunded already.
// A refund that fails is tried again, never given up: it is owed.
func (s *Service) doRefund(ctx context.Context, e events.Received[contracts.PaymentRefundRequested]) (bool, error) {
	r, err := findPayment(s.db.WithContext(ctx), e.Event.OrderID)
	if err != nil {
		return false, fmt.Errorf("read payment of order %s: %w", e.Event.OrderID, err)
	}
	if p := r.payment(); !p.ShouldRefund() {
		return false, nil
	}
	err = s.gateway.Refund(ctx, r.key("refund"), r.IntentID, r.Amount)
	if errors.Is(err, errKeySpent) {
		err = errors.Join(err, nextRound(s.db.WithContext(ctx), r.OrderID, r.KeyRound))
	}
	return err == nil, err
}

// applyRefund takes the processor's word to the rules.
func (s *Service) applyRefund(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentRefundRequested], landed bool) error {
	if !landed {
		return nil
	}
	return s.change(ctx, tx, e.Event.OrderID, (*Payment).RefundSucceeded)
}
