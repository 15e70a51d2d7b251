package shipping

import (
	"context"
	"fmt"
	"log/slog"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Notice is what the carrier reports about a parcel. It may be repeated, and one may overtake another.
type CarrierWebhook struct {
	ID         string             `json:"id"`
	Type       CarrierWebhookType `json:"type"`
	Reference  string             `json:"reference"` // the order's id
	ShipmentID string             `json:"shipmentId"`
	Tracking   string             `json:"tracking"`
}

// NoticeType says what has happened to the parcel.
type CarrierWebhookType string

// What the carrier reports.
const (
	NoticeDispatched CarrierWebhookType = "shipment.dispatched"
	NoticeDelivered  CarrierWebhookType = "shipment.delivered"
)

// OnCarrierNotice takes the carrier's report to the rules, in a transaction of its own. It is errUnknownOrder
// as long as nothing can have been booked for the order. Once it returns nil, the carrier need not repeat itself.
func (s *Service) OnCarrierWebhook(ctx context.Context, n CarrierWebhook) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		r, err := findShipment(tx, n.Reference)
		if err != nil {
			return fmt.Errorf("read shipment of order %s: %w", n.Reference, err)
		}
		if r.State == Waiting {
			return errUnknownOrder
		}
		ctx := events.WithTenantID(events.WithCorrelationID(events.WithCausationID(ctx, n.ID), r.CorrelationID), r.TenantID)
		ctx, span := telemetry.ContinueTrace(ctx, r.TraceParent, "carrier notice "+string(n.Type))
		defer span.End()
		return s.change(ctx, tx, n.Reference, func(sh *Shipment) []Fact {
			if sh.State == Cancelled || sh.State == Failed {
				slog.ErrorContext(ctx, "the carrier has a parcel that must not leave",
					"order_id", sh.OrderID, "state", sh.State, "shipment_id", n.ShipmentID)
			}
			if n.Type == NoticeDelivered {
				return sh.Delivered(n.ShipmentID, n.Tracking)
			}
			return sh.Dispatched(n.ShipmentID, n.Tracking)
		})
	})
}
