package inventory

import (
	"context"
	"fmt"
	"log/slog"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Service runs the rules of inventory.go: on_<event>.go brings what others tell, catalogue.go what people do to
// products. It is safe for concurrent use.
type Service struct {
	db *gorm.DB
}

// New makes a service on its database, which must have this service's tables and those of package events.
func New(db *gorm.DB) *Service { return &Service{db: db} }

// change locks the order's reservation (making it if the order is new to us) and the products that it is about, lets
// the rule decide, stores both and publishes what was decided, all in tx. Of an order that is new to us, only the
// event can say what it is about: wanted.
func (s *Service) change(ctx context.Context, tx *gorm.DB, orderID string,
	rule func(*Reservation, Stock) []Fact, wanted ...Item,
) error {
	r, err := lockReservation(tx, orderID)
	if err != nil {
		return fmt.Errorf("lock reservation of order %s: %w", orderID, err)
	}
	before, items := r.State, r.Items
	if before == None {
		items = wanted
	}
	shelf, err := lockStock(tx, items)
	if err != nil {
		return fmt.Errorf("lock products of order %s: %w", orderID, err)
	}

	facts := rule(&r, shelf)

	if r.State == before {
		telemetry.RecordNoop(ctx, "inventory", orderID, string(before))
		return nil
	}
	if err := storeReservation(tx, r); err != nil {
		return fmt.Errorf("store reservation of order %s: %w", orderID, err)
	}
	if err := storeStock(tx, shelf); err != nil {
		return fmt.Errorf("store products of order %s: %w", orderID, err)
	}
	slog.InfoContext(ctx, "reservation "+string(r.State), "order_id", orderID)
	return s.publish(ctx, tx, r, facts)
}

// publish tells the others, in their words.
func (s *Service) publish(ctx context.Context, tx *gorm.DB, r Reservation, facts []Fact) error {
	for _, fact := range facts {
		var eto events.ETO
		switch fact {
		case StockReserved:
			eto = contracts.InventoryReserved{OrderID: r.OrderID, Items: itemETOs(r.Items)}
		case StockShort:
			eto = contracts.InventoryReservationFailed{OrderID: r.OrderID, Shortages: shortageETOs(r.Shortages)}
		case StockReleased:
			eto = contracts.InventoryReleased{OrderID: r.OrderID}
		default:
			return fmt.Errorf("no event for %q", fact)
		}
		if err := events.Publish(ctx, tx, eto); err != nil {
			return err
		}
	}
	return nil
}

func itemETOs(items []Item) []contracts.Item {
	etos := make([]contracts.Item, len(items))
	for i, item := range items {
		etos[i] = contracts.Item(item)
	}
	return etos
}

func shortageETOs(shortages []Shortage) []contracts.Shortage {
	etos := make([]contracts.Shortage, len(shortages))
	for i, shortage := range shortages {
		etos[i] = contracts.Shortage(shortage)
	}
	return etos
}
