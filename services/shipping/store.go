package shipping

import (
	"context"
	"embed"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Migrations are this service's tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// shipmentRow is a shipment as it is stored. Everything about one order is in this one row, so that whoever holds its lock
// sees all of it.
type shipmentRow struct {
	OrderID     string `gorm:"primaryKey"`
	State       State
	OrderSeen   bool
	PaymentSeen bool
	Address     *Address `gorm:"serializer:json"`
	Items       []Item   `gorm:"serializer:json"`
	ParcelID    string
	Tracking    string
	Detail      string
	Reason      string
	// The flow that the order belongs to, for what the carrier's notices cause: they cannot name it.
	CorrelationID string
	TenantID      string
	TraceParent   string // of the last fact that changed the shipment
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

func (shipmentRow) TableName() string { return "shipments" }

func (r *shipmentRow) shipment() Shipment {
	return Shipment{
		OrderID: r.OrderID, State: r.State, OrderSeen: r.OrderSeen, PaymentSeen: r.PaymentSeen,
		Address: r.Address, Items: r.Items, ParcelID: r.ParcelID, Tracking: r.Tracking,
		Detail: r.Detail, Reason: r.Reason,
	}
}

var (
	ifNew     = clause.OnConflict{DoNothing: true}
	forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}
)

// lockShipment answers the order's row, locked until tx ends. If the order is new to us, the row is made first, as part
// of the flow that ctx belongs to: two facts that arrive at once meet on it.
func lockShipment(ctx context.Context, tx *gorm.DB, orderID string, now time.Time) (shipmentRow, error) {
	fresh := shipmentRow{
		OrderID: orderID, State: Waiting, CreatedAt: now, UpdatedAt: now,
		CorrelationID: events.CorrelationID(ctx), TenantID: events.TenantID(ctx),
	}
	if err := tx.Clauses(ifNew).Create(&fresh).Error; err != nil {
		return shipmentRow{}, err
	}
	var row shipmentRow
	err := tx.Clauses(forUpdate).Take(&row, "order_id = ?", orderID).Error
	return row, err
}

// storeShipment writes what rules may change, in the trace of ctx. The caller holds the row's lock.
func storeShipment(ctx context.Context, tx *gorm.DB, s Shipment, now time.Time) error {
	row := shipmentRow{
		OrderID: s.OrderID, State: s.State, OrderSeen: s.OrderSeen, PaymentSeen: s.PaymentSeen,
		Address: s.Address, Items: s.Items, ParcelID: s.ParcelID, Tracking: s.Tracking,
		Detail: s.Detail, Reason: s.Reason, TraceParent: telemetry.TraceParent(ctx), UpdatedAt: now,
	}
	return exactlyOne(tx.Model(&row).
		Select("State", "OrderSeen", "PaymentSeen", "Address", "Items", "ParcelID", "Tracking", "Detail", "Reason",
			"TraceParent", "UpdatedAt").
		UpdateColumns(row))
}

var errUnknownOrder = errors.New("no shipment is known for this order")

// findShipment reads the row without locking it. It answers errUnknownOrder if nothing has happened to the order here.
func findShipment(db *gorm.DB, orderID string) (shipmentRow, error) {
	var row shipmentRow
	err := db.Take(&row, "order_id = ?", orderID).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = errUnknownOrder
	}
	return row, err
}

// exactlyOne turns an update that hit no row, which the database does not mind, into an error.
func exactlyOne(update *gorm.DB) error {
	if update.Error == nil && update.RowsAffected != 1 {
		return errors.New("the locked row is gone")
	}
	return update.Error
}
