package order

import (
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/contracts/audit"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// auditRows lists every order.
func (s *Service) auditRows(tx *gorm.DB) httpapi.AuditEntries {
	rows := tx.Omit("items", "ship_to").Order("id")
	return httpapi.AuditEntries{audit.Orders: httpapi.AuditRows(rows, func(r orderRow) audit.Order {
		o := r.toOrder()
		next, _ := o.WaitingOn()
		stallsAt, _ := o.StallsAt(s.timeouts)
		return audit.Order{
			OrderID: o.ID, State: string(o.State()), Reason: string(o.Why()), Total: contracts.Money(o.Total), PlacedAt: o.PlacedAt,
			WaitingSince: o.WaitingSince, Missing: next.Fact, StallsAt: stallsAt, Stalled: o.Stalled,
		}
	})}
}
