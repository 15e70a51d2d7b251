package inventory

import (
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

type (
	// bookedProduct is a line of the books that operators see. Of what was ever supplied, every piece is on hand, some
	// of those reserved, or has left with a committed reservation.
	bookedProduct struct {
		SKU      string `json:"sku"`
		Supplied int    `json:"received"`
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
func readBooks(tx *gorm.DB) httpapi.AuditEntries {
	return httpapi.AuditEntries{
		"products": httpapi.AuditRows(tx.Order("sku"), func(p productRow) bookedProduct {
			return bookedProduct{SKU: p.SKU, Supplied: p.Received, OnHand: p.OnHand, Reserved: p.Reserved, Deleted: p.Deleted}
		}),
		"reservations": httpapi.AuditRows(tx.Order("order_id"), func(r reservationRow) bookedReservation {
			booked := bookedReservation{OrderID: r.OrderID, State: r.State, Items: []itemJSON{}}
			for _, item := range r.Items {
				booked.Items = append(booked.Items, itemJSON(item))
			}
			return booked
		}),
	}
}
