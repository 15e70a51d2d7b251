package payment

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Service is payment at work: it brings facts to the rules and tells what they decide. It is safe for concurrent
// use, also by several processes on one database.
type Service struct {
	db      *gorm.DB
	gateway *Gateway
	now     func() time.Time
}

// New serves payments from db, charging through gateway.
func New(db *gorm.DB, gateway *Gateway) *Service {
	return &Service{db: db, gateway: gateway, now: func() time.Time { return time.Now().UTC() }}
}

// change locks the order's row, creating it if the order is new to us, lets the rule decide, stores the row and
// publishes what was decided, all in tx. Every fact goes this way.
func (s *Service) change(ctx context.Context, tx *gorm.DB, orderID string, rule func(*Payment) []Fact) error {
	r, err := lockPayment(tx, orderID, s.now())
	if err != nil {
		return fmt.Errorf("lock payment of order %s: %w", orderID, err)
	}
	before := r.payment()
	p := before
	facts := rule(&p)
	if p == before && facts == nil {
		telemetry.RecordNoop(ctx, "payment", orderID, string(p.State))
		return nil
	}
	if err := storePayment(tx, p, s.now()); err != nil {
		return fmt.Errorf("store payment of order %s: %w", orderID, err)
	}
	if p.State != before.State {
		slog.InfoContext(ctx, "payment "+string(p.State), "order_id", orderID)
	}
	return s.publish(ctx, tx, p, r.IntentID, facts)
}

// publish tells others the facts, in their words, in tx.
func (s *Service) publish(ctx context.Context, tx *gorm.DB, p Payment, intentID string, facts []Fact) error {
	for _, fact := range facts {
		eto := eventFor(fact, p, intentID)
		if eto == nil {
			return fmt.Errorf("no event for %q", fact)
		}
		if err := events.Publish(ctx, tx, eto); err != nil {
			return err
		}
	}
	return nil
}

// eventFor is a fact as others hear it; nil if there is no such event.
func eventFor(fact Fact, p Payment, intentID string) events.ETO {
	amount := contracts.Money{Amount: p.Amount.Amount, Currency: p.Amount.Currency}
	switch fact {
	case ChargeStarted:
		return contracts.PaymentChargeRequested{OrderID: p.OrderID}
	case RefundStarted:
		return contracts.PaymentRefundRequested{OrderID: p.OrderID}
	case ChargeCaptured:
		return contracts.PaymentProcessed{OrderID: p.OrderID, PaymentID: intentID, Amount: amount}
	case ChargeDeclined:
		return contracts.PaymentFailed{OrderID: p.OrderID, Code: p.DeclineCode}
	case MoneyReturned:
		return contracts.PaymentRefunded{OrderID: p.OrderID, Amount: amount, Reason: p.Reason}
	case ChargeVoided:
		return contracts.PaymentVoided{OrderID: p.OrderID, Reason: p.Reason}
	default:
		return nil
	}
}
