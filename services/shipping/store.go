package shipping

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Migrations are this service's tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// row is a shipment as it is stored. Everything about one order is in this one row, so that whoever holds its lock
// sees all of it.
type row struct {
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
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

func (row) TableName() string { return "shipments" }

func (r *row) shipment() Shipment {
	return Shipment{
		OrderID: r.OrderID, State: r.State, OrderSeen: r.OrderSeen, PaymentSeen: r.PaymentSeen,
		Address: r.Address, Items: r.Items, ParcelID: r.ParcelID, Tracking: r.Tracking,
		Detail: r.Detail, Reason: r.Reason,
	}
}

var errUnknown = errors.New("no shipment is known for this order")

// find reads the row without locking it.
func find(db *gorm.DB, orderID string) (row, error) {
	if !utf8.ValidString(orderID) || strings.Contains(orderID, "\x00") {
		return row{}, errUnknown // and the database would not take it
	}
	var r row
	err := db.Where("order_id = ?", orderID).Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row{}, errUnknown
	}
	if err != nil {
		return row{}, fmt.Errorf("read shipment: %w", err)
	}
	return r, nil
}

// lock holds the order's row until tx ends. If the order is new to us, there is a row afterwards: two facts that
// arrive at once meet on it.
func lock(ctx context.Context, tx *gorm.DB, orderID string, now time.Time) (row, error) {
	fresh := row{
		OrderID: orderID, State: Waiting, CreatedAt: now, UpdatedAt: now,
		CorrelationID: events.CorrelationID(ctx), TenantID: events.TenantID(ctx),
	}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&fresh).Error; err != nil {
		return row{}, fmt.Errorf("create shipment: %w", err)
	}
	var r row
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("order_id = ?", orderID).Take(&r).Error
	if err != nil {
		return row{}, fmt.Errorf("lock shipment: %w", err)
	}
	return r, nil
}

// store writes what rules may change. The caller holds the row's lock.
func store(tx *gorm.DB, s Shipment, now time.Time) error {
	changed := row{
		State: s.State, OrderSeen: s.OrderSeen, PaymentSeen: s.PaymentSeen, Address: s.Address, Items: s.Items,
		ParcelID: s.ParcelID, Tracking: s.Tracking, Detail: s.Detail, Reason: s.Reason, UpdatedAt: now,
	}
	update := tx.Model(&row{}).Where("order_id = ?", s.OrderID).
		Select("state", "order_seen", "payment_seen", "address", "items", "parcel_id", "tracking", "detail", "reason",
			"updated_at").
		UpdateColumns(changed)
	if update.Error == nil && update.RowsAffected != 1 {
		update.Error = errUnknown
	}
	if update.Error != nil {
		return fmt.Errorf("store shipment: %w", update.Error)
	}
	return nil
}
