package payment

import (
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Migrations are this service's tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// row is a payment as it is stored, with what the conversation with the processor needs. Everything about one order
// is in this one row, so that whoever holds its lock sees all of it.
type row struct {
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

func (row) TableName() string { return "payments" }

func (r *row) payment() Payment {
	return Payment{
		OrderID: r.OrderID, State: r.State, OrderSeen: r.OrderSeen, StockSeen: r.StockSeen,
		Amount: Money{Amount: r.Amount, Currency: r.Currency}, PaymentMethod: r.PaymentMethod,
		DeclineCode: r.DeclineCode, Reason: r.Reason,
	}
}

// key is the idempotency key of one call for the order. The same call has the same key however often it is made,
// until the processor has shown that it will only ever answer the key with a failure that it saved; see nextRound.
func (r *row) key(call string) string { return fmt.Sprintf("%s/%s/%d", r.OrderID, call, r.KeyRound) }

var errUnknown = errors.New("no payment is known for this order")

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
		return row{}, fmt.Errorf("read payment: %w", err)
	}
	return r, nil
}

// lock holds the order's row until tx ends. If the order is new to us, there is a row afterwards: two facts that
// arrive at once meet on it.
func lock(tx *gorm.DB, orderID string, now time.Time) (row, error) {
	fresh := row{OrderID: orderID, State: Waiting, KeyRound: 1, CreatedAt: now, UpdatedAt: now}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&fresh).Error; err != nil {
		return row{}, fmt.Errorf("create payment: %w", err)
	}
	var r row
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("order_id = ?", orderID).Take(&r).Error
	if err != nil {
		return row{}, fmt.Errorf("lock payment: %w", err)
	}
	return r, nil
}

// store writes what rules may change. The caller holds the row's lock.
func store(tx *gorm.DB, p Payment, now time.Time) error {
	changed := row{
		State: p.State, OrderSeen: p.OrderSeen, StockSeen: p.StockSeen, Amount: p.Amount.Amount, Currency: p.Amount.Currency,
		PaymentMethod: p.PaymentMethod, DeclineCode: p.DeclineCode, Reason: p.Reason, UpdatedAt: now,
	}
	update := tx.Model(&row{}).Where("order_id = ?", p.OrderID).
		Select("state", "order_seen", "stock_seen", "amount", "currency", "payment_method", "decline_code", "reason",
			"updated_at").
		UpdateColumns(changed)
	if update.Error == nil && update.RowsAffected != 1 {
		update.Error = errUnknown
	}
	if update.Error != nil {
		return fmt.Errorf("store payment: %w", update.Error)
	}
	return nil
}

// keepIntent stores the processor's id in a transaction of its own, before anything is confirmed, and answers the
// id that counts: if another attempt was first, that one's.
func keepIntent(db *gorm.DB, orderID, intentID string) (string, error) {
	update := db.Model(&row{}).Where("order_id = ? AND intent_id = ''", orderID).
		UpdateColumn("intent_id", intentID)
	if update.Error != nil {
		return "", fmt.Errorf("store intent: %w", update.Error)
	}
	if update.RowsAffected == 1 {
		return intentID, nil
	}
	r, err := find(db, orderID)
	return r.IntentID, err
}

// nextRound gives the order new idempotency keys, because the processor answers those of the given round with a
// saved failure and would do so for a day or more. That is safe here: an intent that nobody confirms captures
// nothing and only the stored one is confirmed, an intent is captured once under any number of keys, and a refund
// is of what is left.
func nextRound(db *gorm.DB, orderID string, round int) error {
	err := db.Model(&row{}).Where("order_id = ? AND key_round = ?", orderID, round).
		UpdateColumn("key_round", round+1).Error
	if err != nil {
		return fmt.Errorf("change idempotency keys: %w", err)
	}
	return nil
}
