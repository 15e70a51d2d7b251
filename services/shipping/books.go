package shipping

import "gorm.io/gorm"

// bookedShipment is a line of the books that operators see.
type bookedShipment struct {
	OrderID    string `json:"orderId"`
	State      State  `json:"state"`
	ShipmentID string `json:"shipmentId"` // the carrier's
}

// readBooks lists every shipment, as this service believes it to be; the carrier has books of its own.
func readBooks(tx *gorm.DB) (any, error) {
	var rows []shipmentRow
	if err := tx.Select("order_id", "state", "parcel_id").Order("order_id").Find(&rows).Error; err != nil {
		return nil, err
	}
	shipments := make([]bookedShipment, len(rows))
	for i, r := range rows {
		shipments[i] = bookedShipment{OrderID: r.OrderID, State: r.State, ShipmentID: r.ParcelID}
	}
	return map[string]any{"shipments": shipments}, nil
}
