package payment

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// callRefund refunds the captured amount at the card processor and reports whether a refund was due. It runs outside any
// transaction and may be repeated at any time, so that it reads the payment's state and the refunds made so far before
// it calls. A failed refund is retried without end, because the money is the customer's.
func (s *Service) callRefund(ctx context.Context, e events.Received[contracts.PaymentRefundRequested]) (bool, error) {
	r, err := findPayment(s.db.WithContext(ctx), e.Event.OrderID)
	if err != nil {
		return false, fmt.Errorf("read payment of order %s: %w", e.Event.OrderID, err)
	}
	p := r.toPayment()
	if !p.ShouldRefund() {
		return false, nil
	}
	err = s.gateway.Refund(ctx, r.idempotencyKey("refund"), r.IntentID, p.Amount)
	if errors.Is(err, errKeyUsedUp) {
		err = errors.Join(err, nextKeyGeneration(s.db.WithContext(ctx), p.OrderID, r.KeyGeneration))
	}
	return err == nil, err
}

// applyRefund applies the result of callRefund.
func (s *Service) applyRefund(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentRefundRequested], refunded bool) error {
	if !refunded {
		return nil
	}
	return s.payments().Handle(ctx, tx, e.Event.OrderID, (*Payment).RefundSucceeded)
}
