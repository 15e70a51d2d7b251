package shipping

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// callBooking books the parcel with the carrier and returns the result, or a zero BookingResult if no booking is due. It
// runs outside any transaction and may be repeated at any time, so that it reads the shipment's state before it calls.
// The carrier recognizes the order by its reference.
func (s *Service) callBooking(ctx context.Context, e events.Received[contracts.ShipmentBookingRequested]) (BookingResult, error) {
	r, err := findShipment(s.db.WithContext(ctx), e.Event.OrderID)
	if err != nil {
		return BookingResult{}, fmt.Errorf("read shipment of order %s: %w", e.Event.OrderID, err)
	}
	sh := r.toShipment()
	if !sh.ShouldBook() {
		return BookingResult{}, nil
	}
	if sh.Address == nil {
		return BookingResult{}, events.Permanent(fmt.Errorf("shipment of order %s has no address", sh.OrderID))
	}
	return s.carrier.Book(ctx, sh.OrderID, *sh.Address, sh.Items)
}

// applyBooking applies the result of callBooking.
func (s *Service) applyBooking(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentBookingRequested], b BookingResult) error {
	switch {
	case b.ParcelID != "":
		return s.shipments().Handle(ctx, tx, e.Event.OrderID, func(sh *Shipment) []contracts.ETO { return sh.BookingAccepted(b.ParcelID) })
	case b.Rejected:
		return s.shipments().Handle(ctx, tx, e.Event.OrderID, func(sh *Shipment) []contracts.ETO { return sh.BookingRejected(b.Detail) })
	default:
		return nil
	}
}
