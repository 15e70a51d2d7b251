package order

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Service runs the rules on stored orders. Its methods are safe for concurrent use.
type Service struct {
	db       *gorm.DB
	timeouts Timeouts
}

// New makes the service. db needs the bus' plugin, see events.New, before anything is published.
func New(db *gorm.DB, patience Timeouts) *Service { return &Service{db: db, timeouts: patience} }

// now has the database's precision.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// change is what becomes of an event about an order: it locks the order's row and applies the rule. A nil rule is for
// what only the history cares for. The order must be known: it was stored together with the event that started
// everything else, so an event about another order is no news but a mistake, and inventing that order would only hide
// it. It ends in the dead letters.
func (s *Service) change(ctx context.Context, tx *gorm.DB, orderID string, rule func(*Order) []Fact, history ...HistoryEntry) error {
	o, err := lockOrder(tx, orderID)
	if errors.Is(err, errUnknownOrder) {
		return events.Permanent(err)
	}
	if err != nil {
		return err
	}
	changed, err := s.apply(ctx, tx, o, rule, history...)
	if err == nil && !changed && rule != nil {
		telemetry.RecordNoop(ctx, "order", o.ID, string(o.State()))
	}
	return err
}

// apply lets the rule decide about the locked order, stores it with its history and publishes what was decided, all in
// tx. It answers whether the rule changed anything: the history takes down what was heard even if it did not.
func (s *Service) apply(ctx context.Context, tx *gorm.DB, o *Order, rule func(*Order) []Fact, history ...HistoryEntry) (bool, error) {
	was := *o
	var facts []Fact
	if rule != nil {
		facts = rule(o)
	}
	changed := len(facts) > 0 || !reflect.DeepEqual(*o, was)
	if !changed && len(history) == 0 {
		return false, nil
	}

	if progressed(&was, o, facts) {
		o.WaitingSince, o.Stalled = now(), false
	}
	o.Version++
	for i := range history {
		history[i].OrderID, history[i].Position = o.ID, o.Version
	}
	told, err := s.publish(ctx, tx, o, facts)
	if err != nil {
		return false, err
	}
	if err := insertHistory(tx, append(history, told...)); err != nil {
		return false, err
	}
	if err := storeOrder(tx, o, was.Version); err != nil {
		return false, err
	}
	if state := o.State(); state != was.State() {
		if state.Ended() {
			countEnd(ctx, o, now())
		}
		slog.InfoContext(ctx, "order "+string(state), "order_id", o.ID, "was", string(was.State()), "reason", string(o.Why()))
	}
	return changed, nil
}

// gotOn says whether the order waits for something else than before.
func progressed(was, is *Order, facts []Fact) bool {
	before, _ := was.WaitingOn()
	after, _ := is.WaitingOn()
	return was.State() != is.State() || before != after || slices.Contains(facts, CustomerCancelRequested)
}

// heard is the line of the history for a received event.
func newHistoryEntry[T events.ETO](e events.Received[T], words string) HistoryEntry {
	return HistoryEntry{At: e.Time, EventType: e.Type, Description: words}
}

// publish writes the decided facts to the outbox, each with a version of its own, and answers their lines of the
// history.
func (s *Service) publish(ctx context.Context, tx *gorm.DB, o *Order, facts []Fact) ([]HistoryEntry, error) {
	var entries []HistoryEntry
	for _, f := range facts {
		eto, words, opts := s.event(o, f)
		if eto == nil {
			return nil, fmt.Errorf("order %s: no event for the fact %q", o.ID, f)
		}
		o.Version++
		if err := events.Publish(ctx, tx, eto, append(opts, events.WithSequence(o.Version))...); err != nil {
			return nil, fmt.Errorf("order %s: %w", o.ID, err)
		}
		if words != "" {
			entries = append(entries, HistoryEntry{
				OrderID: o.ID, Position: o.Version, At: now(),
				EventType: eto.EventType(), Description: words,
			})
		}
	}
	return entries, nil
}

// The words of what cannot be told by the type of its event.
const (
	customerAsked    = "the customer asked to cancel"
	customerNoted    = "the customer asked to cancel; the deadline's request is answered first"
	deadlineAsked    = "asked to cancel, because it is still not paid"
	refusedAsLeft    = "too late to cancel: the parcel had left"
	refusedAsPaidFor = "not cancelled after all: the payment was made in time"
)

// event is a fact as the others hear it, and in words for the customer.
func (s *Service) event(o *Order, f Fact) (events.ETO, string, []events.PublishOption) {
	total := contracts.Money(o.Total)
	switch f {
	case OrderCreated:
		items := make([]contracts.Item, len(o.Items))
		for i, it := range o.Items {
			items[i] = contracts.Item{SKU: it.SKU, Quantity: it.Quantity}
		}
		return contracts.OrderCreated{
			OrderID: o.ID, CustomerID: o.CustomerID, Items: items, Total: total,
			ShippingAddress: contracts.Address(o.ShipTo), PaymentMethod: o.PaymentMethod,
		}, "the order was placed", nil
	case DeadlineScheduled:
		return contracts.OrderPaymentDeadlinePassed{OrderID: o.ID}, "", []events.PublishOption{events.WithDelay(s.timeouts.Payment)}
	case CustomerCancelRequested:
		return contracts.OrderCancelRequested{OrderID: o.ID, Reason: contracts.ReasonCustomer},
			customerAsked, nil
	case DeadlineCancelRequested:
		return contracts.OrderCancelRequested{OrderID: o.ID, Reason: contracts.ReasonDeadline},
			deadlineAsked, nil
	case OrderConfirmed:
		return contracts.OrderConfirmed{OrderID: o.ID, CustomerID: o.CustomerID, Total: total},
			"the order is confirmed", nil
	case OrderCompleted:
		return contracts.OrderCompleted{OrderID: o.ID, CustomerID: o.CustomerID, Total: total},
			"the order is completed", nil
	case OrderCancelled:
		return contracts.OrderCancelled{OrderID: o.ID, Reason: string(o.Reason)}, "the order is cancelled", nil
	case OrderStalled:
		wait, _ := o.WaitingOn()
		return contracts.OrderStalled{
			OrderID: o.ID, State: string(o.State()), Missing: wait.Fact, WaitingOn: wait.Service, Since: o.WaitingSince,
		}, "this takes longer than it should", nil
	default:
		return nil, "", nil
	}
}
