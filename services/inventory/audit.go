package inventory

import (
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/contracts/audit"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// auditRows lists every product, including deleted ones, and every reservation.
func auditRows(tx *gorm.DB) httpapi.AuditEntries {
	return httpapi.AuditEntries{
		audit.Products: httpapi.AuditRows(tx.Order("sku"), func(p productRow) audit.Product {
			return audit.Product{SKU: p.SKU, Received: p.Received, OnHand: p.OnHand, Reserved: p.Reserved, Deleted: p.Deleted}
		}),
		audit.Reservations: httpapi.AuditRows(tx.Order("order_id"), func(r reservationRow) audit.Reservation {
			row := audit.Reservation{OrderID: r.OrderID, State: string(r.State), Items: []contracts.Item{}}
			for _, item := range r.Items {
				row.Items = append(row.Items, contracts.Item(item))
			}
			return row
		}),
	}
}
