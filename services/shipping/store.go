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

// Migrations holds the migrations of this service's tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// shipmentRow is a stored shipment and the flow that its order belongs to, for the events that a carrier webhook causes:
// the webhook does not carry the flow. Everything about one order is in this one row, so that its lock covers all of it.
type shipmentRow struct {
	Shipment      shipmentColumns `gorm:"embedded"`
	CorrelationID string
	TenantID      string
	TraceParent   string // of the last change of the shipment
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// shipmentColumns has the fields of Shipment in the same order, so that Go converts one into the other.
type shipmentColumns struct {
	OrderID       string `gorm:"primaryKey"`
	State         State
	OrderReceived bool
	Paid          bool
	Address       *Address `gorm:"serializer:json"`
	Items         []Item   `gorm:"serializer:json"`
	ParcelID      string
	Tracking      string
	Detail        string
	Reason        string
}

func (shipmentRow) TableName() string { return "shipments" }

func (r *shipmentRow) toShipment() Shipment { return Shipment(r.Shipment) }

var (
	ifNew     = clause.OnConflict{DoNothing: true}
	forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}
)

// lockShipment locks the order's row until tx ends. The row of a new order is inserted first, with the flow of ctx, so
// that two events that arrive at once meet on it.
func lockShipment(ctx context.Context, tx *gorm.DB, orderID string, now time.Time) (Shipment, error) {
	inserted := shipmentRow{
		Shipment:      shipmentColumns(NewShipment(orderID)),
		CorrelationID: events.CorrelationID(ctx), TenantID: events.TenantID(ctx), CreatedAt: now, UpdatedAt: now,
	}
	if err := tx.Clauses(ifNew).Create(&inserted).Error; err != nil {
		return Shipment{}, err
	}
	var row shipmentRow
	err := tx.Clauses(forUpdate).Take(&row, "order_id = ?", orderID).Error
	return row.toShipment(), err
}

// changing lists the columns that rules may change, and those that change with them.
var changing = []string{
	"state", "order_received", "paid", "address", "items", "parcel_id", "tracking", "detail", "reason", "trace_parent", "updated_at",
}

// storeShipment writes what rules may change, and the trace of ctx. The caller holds the row's lock.
func storeShipment(ctx context.Context, tx *gorm.DB, s Shipment, now time.Time) error {
	row := shipmentRow{Shipment: shipmentColumns(s), TraceParent: telemetry.TraceParent(ctx), UpdatedAt: now}
	return exactlyOne(tx.Model(&row).Select(changing).UpdateColumns(row))
}

var errUnknownOrder = errors.New("no shipment is known for this order")

// findShipment reads the row without locking it. It returns errUnknownOrder if no event about the order has arrived.
func findShipment(db *gorm.DB, orderID string) (shipmentRow, error) {
	var row shipmentRow
	err := db.Take(&row, "order_id = ?", orderID).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = errUnknownOrder
	}
	return row, err
}

// exactlyOne returns an error if an update of one row changed no row.
func exactlyOne(update *gorm.DB) error {
	if update.Error == nil && update.RowsAffected != 1 {
		return errors.New("locked row not found")
	}
	return update.Error
}
