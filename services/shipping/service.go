package shipping

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Service is shipping at work: it brings facts to the rules and tells what they decide. It is safe for concurrent
// use, also by several processes on one database.
type Service struct {
	db      *gorm.DB
	carrier *Carrier
	secret  string // shared with the carrier, signs its notices
	now     func() time.Time
}

// New serves shipments from db, booking with carrier and taking notices that are signed with secret.
func New(db *gorm.DB, carrier *Carrier, secret string) *Service {
	return &Service{db: db, carrier: carrier, secret: secret, now: func() time.Time { return time.Now().UTC() }}
}

// change locks the order's row, creating it if the order is new to us, lets the rule decide, stores the row and
// publishes what was decided, all in tx. Every fact goes this way.
func (s *Service) change(ctx context.Context, tx *gorm.DB, orderID string, rule func(*Shipment) []Fact) error {
	r, err := lockShipment(ctx, tx, orderID, s.now())
	if err != nil {
		return fmt.Errorf("lock shipment of order %s: %w", orderID, err)
	}
	before := r.shipment()
	shipment := before
	facts := rule(&shipment)
	if facts == nil && reflect.DeepEqual(shipment, before) {
		telemetry.RecordNoop(ctx, "shipping", orderID, string(shipment.State))
		return nil
	}
	if err := storeShipment(ctx, tx, shipment, s.now()); err != nil {
		return fmt.Errorf("store shipment of order %s: %w", orderID, err)
	}
	if shipment.State != before.State {
		slog.InfoContext(ctx, "shipment "+string(shipment.State), "order_id", orderID)
	}
	return s.publish(ctx, tx, shipment, facts)
}

// publish tells others the facts, in their words, in tx.
func (s *Service) publish(ctx context.Context, tx *gorm.DB, shipment Shipment, facts []Fact) error {
	for _, fact := range facts {
		eto := eventFor(fact, shipment)
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
func eventFor(fact Fact, s Shipment) events.ETO {
	switch fact {
	case BookingStarted:
		return contracts.ShipmentBookingRequested{OrderID: s.OrderID}
	case CancelStarted:
		return contracts.ShipmentCancellationRequested{OrderID: s.OrderID}
	case ParcelBooked:
		return contracts.ShipmentCreated{OrderID: s.OrderID, ShipmentID: s.ParcelID}
	case ParcelDispatched:
		return contracts.ShipmentDispatched{OrderID: s.OrderID, ShipmentID: s.ParcelID, Tracking: s.Tracking}
	case ParcelDelivered:
		return contracts.ShipmentDelivered{OrderID: s.OrderID, ShipmentID: s.ParcelID}
	case ParcelUndeliverable:
		return contracts.ShipmentFailed{OrderID: s.OrderID, Detail: s.Detail}
	case ShipmentCancelled:
		return contracts.ShipmentCancelled{OrderID: s.OrderID, Reason: s.Reason}
	case CancelRefusedPaid:
		return contracts.ShipmentCancelRefused{OrderID: s.OrderID, Because: contracts.BecausePaid}
	case CancelRefusedDispatched:
		return contracts.ShipmentCancelRefused{OrderID: s.OrderID, Because: contracts.BecauseDispatched}
	default:
		return nil
	}
}
