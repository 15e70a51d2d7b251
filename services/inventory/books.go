package inventory

import "gorm.io/gorm"

type (
	// bookedProduct is a line of the books that operators see. Of what was ever supplied, every piece is on hand, some
	// of those reserved, or has left with a committed reservation.
	bookedProduct struct {
		SKU      string `json:"sku"`
		Supplied int    `json:"supplied"`
		OnHand   int    `json:"onHand"`
		Reserved int    `json:"reserved"`
		Deleted  bool   `json:"deleted"`
	}
	bookedReservation struct {
		OrderID string     `json:"orderId"`
		State   State      `json:"state"`
		Items   []itemJSON `json:"items"`
	}
)

// readBooks lists every product, also those no longer in the catalogue, and every reservation.
func readBooks(tx *gorm.DB) (any, error) {
	var products []productRow
	if err := tx.Order("sku").Find(&products).Error; err != nil {
		return nil, err
	}
	var reservations []reservationRow
	if err := tx.Order("order_id").Find(&reservations).Error; err != nil {
		return nil, err
	}
	shelf := make([]bookedProduct, len(products))
	for i, p := range products {
		shelf[i] = bookedProduct{SKU: p.SKU, Supplied: p.Supplied, OnHand: p.OnHand, Reserved: p.Reserved, Deleted: p.Deleted}
	}
	promised := make([]bookedReservation, len(reservations))
	for i, r := range reservations {
		promised[i] = bookedReservation{OrderID: r.OrderID, State: r.State, Items: []itemJSON{}}
		for _, item := range r.Items {
			promised[i].Items = append(promised[i].Items, itemJSON(item))
		}
	}
	return map[string]any{"products": shelf, "reservations": promised}, nil
}
