package inventory

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
	s := New(db)
	service := s.Definition()
	if cfg.SeedCatalogue {
		service.Start = func(ctx context.Context) error { return s.Seed(events.WithTenantID(ctx, cfg.DefaultTenant)) }
	}
	return chassis.Run(ctx, cfg.Config, service, db, tr)
}

// Definition returns what the service adds to the chassis.
func (s *Service) Definition() chassis.Service {
	return chassis.Service{
		Name:          "inventory",
		Events:        events.Declarations(contracts.Events),
		Subscriptions: Subscriptions(s),
		Migrations:    Migrations,
		Routes:        s.Routes,
		OpenAPI:       openapi.Inventory,
		Audit:         auditRows,
	}
}
