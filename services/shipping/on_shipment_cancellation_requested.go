package shipping

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// doCancel asks the carrier, who alone knows, whether the parcel can still be kept from leaving. It runs outside any
// transaction and may run again at any time: the carrier's answer stays the same.
func (s *Service) doCancel(ctx context.Context, e events.Received[contracts.ShipmentCancellationRequested]) (CancelResult, error) {
	r, err := findShipment(s.db.WithContext(ctx), e.Event.OrderID)
	if err != nil {
		return CancelResult{}, fmt.Errorf("read shipment of order %s: %w", e.Event.OrderID, err)
	}
	if sh := r.shipment(); !sh.ShouldCancel() {
		return CancelResult{}, nil
	}
	return s.carrier.Cancel(ctx, r.ParcelID)
}

// applyCancel takes the carrier's word to the rules. An empty one means that there was nothing to do.
func (s *Service) applyCancel(ctx context.Context, tx *gorm.DB, e events.Received[contracts.ShipmentCancellationRequested], c CancelResult) error {
	switch {
	case c.Granted:
		return s.change(ctx, tx, e.Event.OrderID, (*Shipment).CancellationGranted)
	case c.TooLate:
		return s.change(ctx, tx, e.Event.OrderID, func(sh *Shipment) []Fact { return sh.Dispatched(sh.ParcelID, c.Tracking) })
	default:
		return nil
	}
}
