package payment

import (
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// bookedPayment is a line of the books that operators see. Amounts are minor units of Amount's currency.
type bookedPayment struct {
	OrderID   string    `json:"orderId"`
	State     State     `json:"state"`
	Amount    moneyJSON `json:"amount"`
	Captured  int64     `json:"captured"`
	Refunded  int64     `json:"refunded"`
	PaymentID string    `json:"paymentId"`
}

// readBooks lists every payment, as this service believes it to be; the processor has books of its own.
func readBooks(tx *gorm.DB) httpapi.AuditEntries {
	return httpapi.AuditEntries{"payments": httpapi.AuditRows(tx.Order("order_id"), func(r paymentRow) bookedPayment {
		p := r.payment()
		return bookedPayment{
			OrderID: p.OrderID, State: p.State, Amount: moneyJSON(p.Amount),
			Captured: p.captured(), Refunded: p.refunded(), PaymentID: r.IntentID,
		}
	})}
}
