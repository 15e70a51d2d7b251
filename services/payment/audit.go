package payment

import (
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/contracts/audit"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// auditRows lists every payment as this service has stored it. The card processor has records of its own.
func auditRows(tx *gorm.DB) httpapi.AuditEntries {
	return httpapi.AuditEntries{audit.Payments: httpapi.AuditRows(tx.Order("order_id"), func(r paymentRow) audit.Payment {
		p := r.toPayment()
		return audit.Payment{
			OrderID: p.OrderID, State: string(p.State), Amount: contracts.Money(p.Amount),
			Captured: p.captured(), Refunded: p.refunded(), PaymentID: r.IntentID,
		}
	})}
}
