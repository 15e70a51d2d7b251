package payment

import (
	"embed"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Migrations holds the migrations of this service's tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// paymentRow is a stored payment and the data of its calls to the card processor. Everything about one order is in this
// one row, so that its lock covers all of it.
type paymentRow struct {
	Payment       paymentColumns `gorm:"embedded"`
	IntentID      string         // the card processor's id; only this intent is ever confirmed
	KeyGeneration int            // part of the idempotency keys, see idempotencyKey
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// paymentColumns has the fields of Payment in the same order, so that Go converts one into the other.
type paymentColumns struct {
	OrderID       string `gorm:"primaryKey"`
	State         State
	OrderReceived bool
	StockReserved bool
	Amount        Money `gorm:"embedded"`
	PaymentMethod string
	DeclineCode   string
	Reason        string
}

func (paymentRow) TableName() string { return "payments" }

func (r *paymentRow) toPayment() Payment { return Payment(r.Payment) }

// idempotencyKey returns the idempotency key of one call for the order. A repeated call has the same key, until the card
// processor replays a stored failure for it; see nextKeyGeneration.
func (r *paymentRow) idempotencyKey(call string) string {
	return fmt.Sprintf("%s/%s/%d", r.Payment.OrderID, call, r.KeyGeneration)
}

var (
	ifNew     = clause.OnConflict{DoNothing: true}
	forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}
)

// lockPayment locks the order's row until tx ends. The row of a new order is inserted first, so that two events that
// arrive at once meet on it.
func lockPayment(tx *gorm.DB, orderID string, now time.Time) (Payment, error) {
	inserted := paymentRow{
		Payment: paymentColumns(NewPayment(orderID)), KeyGeneration: 1, CreatedAt: now, UpdatedAt: now,
	}
	if err := tx.Clauses(ifNew).Create(&inserted).Error; err != nil {
		return Payment{}, err
	}
	var row paymentRow
	err := tx.Clauses(forUpdate).Take(&row, "order_id = ?", orderID).Error
	return row.toPayment(), err
}

// changing lists the columns that rules may change.
var changing = []string{
	"state", "order_received", "stock_reserved", "amount", "currency", "payment_method", "decline_code", "reason", "updated_at",
}

// storePayment writes what rules may change. The caller holds the row's lock.
func storePayment(tx *gorm.DB, p Payment, now time.Time) error {
	row := paymentRow{Payment: paymentColumns(p), UpdatedAt: now}
	return exactlyOne(tx.Model(&row).Select(changing).UpdateColumns(row))
}

var errUnknownOrder = errors.New("no payment is known for this order")

// findPayment reads the row without locking it. It returns errUnknownOrder if no event about the order has arrived.
func findPayment(db *gorm.DB, orderID string) (paymentRow, error) {
	var row paymentRow
	err := db.Take(&row, "order_id = ?", orderID).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = errUnknownOrder
	}
	return row, err
}

// storeIntentID stores the card processor's id in a transaction of its own, before anything is confirmed, and returns
// the stored id: that of a concurrent attempt if it was first.
func storeIntentID(db *gorm.DB, orderID, intentID string) (string, error) {
	update := db.Model(&paymentRow{}).Where("order_id = ? AND intent_id = ''", orderID).
		UpdateColumn("intent_id", intentID)
	if err := errors.Join(update.Error, db.Statement.Context.Err()); err != nil {
		return "", err // the number of rows of an interrupted statement is not reliable
	}
	if update.RowsAffected == 1 {
		return intentID, nil
	}
	row, err := findPayment(db, orderID)
	return row.IntentID, err
}

// nextKeyGeneration gives the order new idempotency keys, because the card processor replays a stored failure, or a
// refund that did not succeed, for the keys of the given generation, for a day or more. New keys are safe here: an
// unconfirmed intent captures nothing and only the stored one is confirmed; an intent is captured once under any number
// of keys; and a refund is of the amount that is left.
func nextKeyGeneration(db *gorm.DB, orderID string, generation int) error {
	return db.Model(&paymentRow{}).Where("order_id = ? AND key_generation = ?", orderID, generation).
		UpdateColumn("key_generation", generation+1).Error
}

// exactlyOne returns an error if an update of one row changed no row.
func exactlyOne(update *gorm.DB) error {
	if update.Error == nil && update.RowsAffected != 1 {
		return errors.New("locked row not found")
	}
	return update.Error
}
