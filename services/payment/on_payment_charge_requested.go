package payment

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// doCharge brings the order's charge to an end at the processor, wherever an earlier attempt left it, and answers
// what became of it. It runs outside any transaction and may run again at any time, so it looks before it calls: at
// its own state, and then at the intent. Only the intent whose id is stored is ever confirmed; that, and not the
// processor's memory of a key, is why an order is never charged twice.
func (s *Service) doCharge(ctx context.Context, e events.Received[contracts.PaymentChargeRequested]) (Intent, error) {
	r, err := findPayment(s.db.WithContext(ctx), e.Event.OrderID)
	if err != nil {
		return Intent{}, fmt.Errorf("read payment of order %s: %w", e.Event.OrderID, err)
	}
	if p := r.payment(); !p.ShouldCharge() {
		return Intent{}, nil
	}
	intent, err := s.charge(ctx, r)
	if errors.Is(err, errKeySpent) {
		err = errors.Join(err, nextRound(s.db.WithContext(ctx), r.OrderID, r.KeyRound))
	}
	return intent, err
}

func (s *Service) charge(ctx context.Context, r paymentRow) (Intent, error) {
	intent, err := s.intent(ctx, r)
	if err != nil || intent.Status != IntentOpen {
		return intent, err
	}
	intent, err = s.gateway.Confirm(ctx, r.key("confirm"), intent.ID)
	if err == nil && intent.Status == IntentOpen {
		err = errors.New("the charge is neither made nor refused")
	}
	return intent, err
}

// intent reads the order's intent, or makes it and stores its id.
func (s *Service) intent(ctx context.Context, r paymentRow) (Intent, error) {
	if r.IntentID != "" {
		return s.gateway.Read(ctx, r.IntentID)
	}
	p := r.payment()
	created, err := s.gateway.Create(ctx, r.key("create"), p.OrderID, p.Amount, p.PaymentMethod)
	if err != nil || created.Status != IntentOpen {
		return created, err
	}
	id, err := keepIntent(s.db.WithContext(ctx), r.OrderID, created.ID)
	if err != nil {
		return created, fmt.Errorf("store intent of order %s: %w", r.OrderID, err)
	}
	if id == created.ID {
		return created, nil
	}
	return s.gateway.Read(ctx, id)
}

// applyCharge takes the processor's word to the rules. An empty one means that there was nothing to do.
func (s *Service) applyCharge(ctx context.Context, tx *gorm.DB, e events.Received[contracts.PaymentChargeRequested], in Intent) error {
	switch in.Status {
	case IntentCaptured:
		return s.change(ctx, tx, e.Event.OrderID, (*Payment).ChargeSucceeded)
	case IntentRefused:
		return s.change(ctx, tx, e.Event.OrderID, func(p *Payment) []Fact { return p.ChargeDeclined(in.Code) })
	default:
		return nil
	}
}
