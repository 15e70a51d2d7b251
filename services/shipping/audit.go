package shipping

import (
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts/audit"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// auditRows lists every shipment as this service has stored it. The carrier has records of its own.
func auditRows(tx *gorm.DB) httpapi.AuditEntries {
	rows := tx.Select("order_id", "state", "parcel_id").Order("order_id")
	return httpapi.AuditEntries{audit.Shipments: httpapi.AuditRows(rows, func(r shipmentRow) audit.Shipment {
		sh := r.toShipment()
		return audit.Shipment{OrderID: sh.OrderID, State: string(sh.State), ShipmentID: sh.ParcelID}
	})}
}
