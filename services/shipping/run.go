package shipping

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/contracts/openapi"
	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Run runs the service until ctx ends, see [chassis.Run].
func Run(ctx context.Context, cfg Config, db *gorm.DB, tr transport.Transport) error {
	carrier := NewCarrier(cfg.CarrierURL, cfg.CarrierTimeout)
	defer carrier.Close()
	return chassis.Run(ctx, cfg.Config, New(db, carrier, cfg.CarrierWebhookSecret.Reveal()).Definition(), db, tr)
}

// Definition returns what the service adds to the chassis.
func (s *Service) Definition() chassis.Service {
	return chassis.Service{
		Name:          "shipping",
		Events:        events.Declarations(contracts.Events),
		Subscriptions: Subscriptions(s),
		Migrations:    Migrations,
		Routes:        s.Routes,
		OpenAPI:       openapi.Shipping,
		Audit:         auditRows,
	}
}
