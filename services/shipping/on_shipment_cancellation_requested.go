package shipping

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// callCancellation asks the carrier, which alone can decide, to cancel the parcel and returns the result, or a zero
// CancelResult if no cancellation is due. It runs outside any transaction and may be repeated at any time: the carrier
// repeats its decision.
func (s *Service) callCancellation(ctx context.Context, e events.Received[contracts.ShipmentCancellationRequested]) (CancelResult, error) {
	r, err := findShipment(s.db.WithContext(ctx), e.Event.OrderID)
	if err != nil {
		return CancelResult{}, fmt.Errorf("read shipment of order %s: %w", e.Event.OrderID, err)
	}
	sh := r.toShipment()
	if !sh.ShouldCancel() {
		return CancelResult{}, nil
	}
	return s.carrier.Cancel(ctx, sh.ParcelID)
}

// applyCancellation applies the result of callCancellation.
func (s *Service) applyCancellation(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentCancellationRequested], c CancelResult) error {
	switch {
	case c.Granted:
		return s.shipments().Handle(ctx, tx, e.Event.OrderID, (*Shipment).CancellationGranted)
	case c.TooLate:
		return s.shipments().Handle(ctx, tx, e.Event.OrderID, func(sh *Shipment) []contracts.ETO {
			return sh.Dispatched(sh.ParcelID, c.Tracking)
		})
	default:
		return nil
	}
}
