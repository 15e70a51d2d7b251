package shipping

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// doBooking asks the carrier to take the parcel. It runs outside any transaction and may run again at any time: it
// looks at its own state first, and the carrier knows the order by its reference.
func (s *Service) doBooking(ctx context.Context, e events.Received[contracts.ShipmentBookingRequested]) (BookingResult, error) {
	r, err := findShipment(s.db.WithContext(ctx), e.Event.OrderID)
	if err != nil {
		return BookingResult{}, fmt.Errorf("read shipment of order %s: %w", e.Event.OrderID, err)
	}
	if sh := r.shipment(); !sh.ShouldBook() {
		return BookingResult{}, nil
	}
	if r.Address == nil {
		return BookingResult{}, events.Permanent(fmt.Errorf("order %s is to be booked without an address", r.OrderID))
	}
	return s.carrier.Book(ctx, r.OrderID, *r.Address, r.Items)
}

// applyBooking takes the carrier's word to the rules. An empty one means that there was nothing to do.
func (s *Service) applyBooking(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentBookingRequested], b BookingResult) error {
	switch {
	case b.ParcelID != "":
		return s.change(ctx, tx, e.Event.OrderID, func(sh *Shipment) []Fact { return sh.BookingAccepted(b.ParcelID) })
	case b.Refused:
		return s.change(ctx, tx, e.Event.OrderID, func(sh *Shipment) []Fact { return sh.BookingRejected(b.Detail) })
	default:
		return nil
	}
}
