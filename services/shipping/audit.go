package shipping

import (
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// bookedShipment is a line of the books that operators see.
type bookedShipment struct {
	OrderID    string `json:"orderId"`
	State      State  `json:"state"`
	ShipmentID string `json:"shipmentId"` // the carrier's
}

// readBooks lists every shipment, as this service believes it to be; the carrier has books of its own.
func readBooks(tx *gorm.DB) httpapi.AuditEntries {
	rows := tx.Select("order_id", "state", "parcel_id").Order("order_id")
	return httpapi.AuditEntries{"shipments": httpapi.AuditRows(rows, func(r shipmentRow) bookedShipment {
		return bookedShipment{OrderID: r.OrderID, State: r.State, ShipmentID: r.ParcelID}
	})}
}
