package payment

import (
	"embed"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Migrations are this service's tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// paymentRow is a payment as it is stored, with what the conversation with the processor needs. Everything about one order
// is in this one row, so that whoever holds its lock sees all of it.
type paymentRow struct {
	OrderID       string `gorm:"primaryKey"`
	State         State
	OrderSeen     bool
	StockSeen     bool
	Amount        int64
	Currency      string
	PaymentMethod string
	IntentID      string // the processor's id; only this intent is ever confirmed
	KeyRound      int    // part of the idempotency keys, see key
	DeclineCode   string
	Reason        string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

func (paymentRow) TableName() string { return "payments" }

func (r *paymentRow) payment() Payment {
	return Payment{
		OrderID: r.OrderID, State: r.State, OrderSeen: r.OrderSeen, StockSeen: r.StockSeen,
		Amount: Money{Amount: r.Amount, Currency: r.Currency}, PaymentMethod: r.PaymentMethod,
		DeclineCode: r.DeclineCode, Reason: r.Reason,
	}
}

// key is the idempotency key of one call for the order. The same call has the same key however often it is made,
// until the processor has shown that it will only ever answer the key with a failure that it saved; see nextRound.
func (r *paymentRow) key(call string) string {
	return fmt.Sprintf("%s/%s/%d", r.OrderID, call, r.KeyRound)
}

var (
	ifNew     = clause.OnConflict{DoNothing: true}
	forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}
)

// lockPayment answers the order's row, locked until tx ends. If the order is new to us, the row is made first: two
// facts that arrive at once meet on it.
func lockPayment(tx *gorm.DB, orderID string, now time.Time) (paymentRow, error) {
	fresh := paymentRow{OrderID: orderID, State: Waiting, KeyRound: 1, CreatedAt: now, UpdatedAt: now}
	if err := tx.Clauses(ifNew).Create(&fresh).Error; err != nil {
		return paymentRow{}, err
	}
	var row paymentRow
	err := tx.Clauses(forUpdate).Take(&row, "order_id = ?", orderID).Error
	return row, err
}

// storePayment writes what rules may change. The caller holds the row's lock.
func storePayment(tx *gorm.DB, p Payment, now time.Time) error {
	row := paymentRow{
		OrderID: p.OrderID, State: p.State, OrderSeen: p.OrderSeen, StockSeen: p.StockSeen,
		Amount: p.Amount.Amount, Currency: p.Amount.Currency, PaymentMethod: p.PaymentMethod,
		DeclineCode: p.DeclineCode, Reason: p.Reason, UpdatedAt: now,
	}
	return exactlyOne(tx.Model(&row).
		Select("State", "OrderSeen", "StockSeen", "Amount", "Currency", "PaymentMethod", "DeclineCode", "Reason", "UpdatedAt").
		UpdateColumns(row))
}

var errUnknownOrder = errors.New("no payment is known for this order")

// findPayment reads the row without locking it. It answers errUnknownOrder if nothing has happened to the order here.
func findPayment(db *gorm.DB, orderID string) (paymentRow, error) {
	var row paymentRow
	err := db.Take(&row, "order_id = ?", orderID).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = errUnknownOrder
	}
	return row, err
}

// keepIntent stores the processor's id in a transaction of its own, before anything is confirmed, and answers the
// id that counts: if another attempt was first, that one's.
func keepIntent(db *gorm.DB, orderID, intentID string) (string, error) {
	update := db.Model(&paymentRow{}).Where("order_id = ? AND intent_id = ''", orderID).
		UpdateColumn("intent_id", intentID)
	if err := errors.Join(update.Error, db.Statement.Context.Err()); err != nil {
		return "", err // a driver that was interrupted need not know whether it has done anything
	}
	if update.RowsAffected == 1 {
		return intentID, nil
	}
	row, err := findPayment(db, orderID)
	return row.IntentID, err
}

// nextRound gives the order new idempotency keys, because the processor answers one of the given round with a failure
// that it saved, or with a refund that did not land, and would do so for a day or more. That is safe here: an intent
// that nobody confirms captures nothing and only the stored one is confirmed, an intent is captured once under any
// number of keys, and a refund is of what is left.
func nextRound(db *gorm.DB, orderID string, round int) error {
	return db.Model(&paymentRow{}).Where("order_id = ? AND key_round = ?", orderID, round).
		UpdateColumn("key_round", round+1).Error
}

// exactlyOne turns an update that hit no row, which the database does not mind, into an error.
func exactlyOne(update *gorm.DB) error {
	if update.Error == nil && update.RowsAffected != 1 {
		return errors.New("the locked row is gone")
	}
	return update.Error
}
