package shipping

import (
	"context"
	"fmt"
	"log/slog"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// CarrierWebhook is the carrier's report about a parcel. The carrier may repeat a webhook, and one may overtake another.
type CarrierWebhook struct {
	ID         string             `json:"id"`
	Type       CarrierWebhookType `json:"type"`
	Reference  string             `json:"reference"` // the order's id
	ShipmentID string             `json:"shipmentId"`
	Tracking   string             `json:"tracking"`
}

// CarrierWebhookType is what has happened to the parcel.
type CarrierWebhookType string

// Types of carrier webhooks.
const (
	WebhookDispatched CarrierWebhookType = "shipment.dispatched"
	WebhookDelivered  CarrierWebhookType = "shipment.delivered"
)

// OnCarrierWebhook applies the carrier's report in a transaction of its own. It returns errUnknownOrder while no parcel
// can have been booked for the order. Once it returns nil, the carrier need not repeat the webhook.
func (s *Service) OnCarrierWebhook(ctx context.Context, w CarrierWebhook) error {
	return database.Transaction(ctx, s.db, func(tx *gorm.DB) error {
		r, err := findShipment(tx, w.Reference)
		if err != nil {
			return fmt.Errorf("read shipment of order %s: %w", w.Reference, err)
		}
		if r.Shipment.State == Waiting {
			return errUnknownOrder
		}
		ctx := events.WithTenantID(events.WithCorrelationID(events.WithCausationID(ctx, w.ID), r.CorrelationID), r.TenantID)
		ctx, span := telemetry.ContinueTrace(ctx, r.TraceParent, "carrier webhook "+string(w.Type))
		defer span.End()
		return s.shipments().Handle(ctx, tx, w.Reference, func(sh *Shipment) []contracts.ETO {
			if sh.State == Cancelled || sh.State == Failed {
				slog.ErrorContext(ctx, "carrier has a parcel that must not leave",
					"order_id", sh.OrderID, "state", sh.State, "shipment_id", w.ShipmentID)
			}
			if w.Type == WebhookDelivered {
				return sh.Delivered(w.ShipmentID, w.Tracking)
			}
			return sh.Dispatched(w.ShipmentID, w.Tracking)
		})
	})
}
