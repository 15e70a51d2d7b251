package payment

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// callCharge completes the order's charge at the card processor and returns the resulting intent, or a zero Intent if
// no charge is due. It runs outside any transaction and may be repeated at any time, so that it reads the payment's
// state and the intent before it calls. Only the intent whose id is stored is ever confirmed: that, and not the card
// processor's memory of idempotency keys, is why an order is never charged twice.
func (s *Service) callCharge(ctx context.Context, e events.Received[contracts.PaymentChargeRequested]) (Intent, error) {
	r, err := findPayment(s.db.WithContext(ctx), e.Event.OrderID)
	if err != nil {
		return Intent{}, fmt.Errorf("read payment of order %s: %w", e.Event.OrderID, err)
	}
	if p := r.toPayment(); !p.ShouldCharge() {
		return Intent{}, nil
	}
	intent, err := s.charge(ctx, r)
	if errors.Is(err, errKeyUsedUp) {
		err = errors.Join(err, nextKeyGeneration(s.db.WithContext(ctx), r.Payment.OrderID, r.KeyGeneration))
	}
	return intent, err
}

func (s *Service) charge(ctx context.Context, r paymentRow) (Intent, error) {
	intent, err := s.intent(ctx, r)
	if err != nil || intent.Status != IntentOpen {
		return intent, err
	}
	intent, err = s.gateway.Confirm(ctx, r.idempotencyKey("confirm"), intent.ID, r.toPayment().Amount)
	if err == nil && intent.Status == IntentOpen {
		err = errors.New("card processor: intent is still open after the confirmation")
	}
	return intent, err
}

// intent reads the order's intent, or creates it and stores its id.
func (s *Service) intent(ctx context.Context, r paymentRow) (Intent, error) {
	p := r.toPayment()
	if r.IntentID != "" {
		return s.gateway.Read(ctx, r.IntentID, p.Amount)
	}
	created, err := s.gateway.Create(ctx, r.idempotencyKey("create"), p.OrderID, p.Amount, p.PaymentMethod)
	if err != nil || created.Status != IntentOpen {
		return created, err
	}
	id, err := storeIntentID(s.db.WithContext(ctx), p.OrderID, created.ID)
	if err != nil {
		return created, fmt.Errorf("store intent of order %s: %w", p.OrderID, err)
	}
	if id == created.ID {
		return created, nil
	}
	return s.gateway.Read(ctx, id, p.Amount)
}

// applyCharge applies the result of callCharge.
func (s *Service) applyCharge(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentChargeRequested], in Intent) error {
	switch in.Status {
	case IntentCaptured:
		return s.payments().Handle(ctx, tx, e.Event.OrderID, func(p *Payment) []contracts.ETO { return p.ChargeSucceeded(in.ID) })
	case IntentDeclined:
		return s.payments().Handle(ctx, tx, e.Event.OrderID, func(p *Payment) []contracts.ETO { return p.ChargeDeclined(in.Code) })
	default:
		return nil
	}
}
