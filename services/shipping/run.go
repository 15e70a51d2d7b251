package shipping

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/contracts/openapi"
	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Run brings the tables up to date and serves until ctx ends, then stops in order. The database and the transport
// remain the caller's to close.
func Run(ctx context.Context, cfg Config, db *gorm.DB, transport transport.Transport) error {
	if err := chassis.WithMigrationRole(ctx, cfg.Config, db, Migrate); err != nil {
		return err
	}
	carrier := NewCarrier(cfg.CarrierURL, cfg.CarrierTimeout)
	defer carrier.Close()
	s := New(db, carrier, cfg.CarrierWebhookSecret.Reveal())
	bus, err := events.New(db, transport, events.Config{
		Events: events.Declarations(contracts.Events), Service: "shipping", Source: "/quadrille/shipping", RetryDelays: cfg.RetryDelays, Audit: cfg.Audit, ShutdownTimeout: cfg.ShutdownTimeout / 2,
	}, Subscriptions(s)...)
	if err != nil {
		return err
	}
	router, err := s.router(cfg, bus)
	if err != nil {
		return err
	}
	return chassis.Run(ctx, cfg.Config, router, bus.Run)
}

// router has everything that the service serves.
func (s *Service) router(cfg Config, bus *events.Bus) (*chassis.Router, error) {
	r := chassis.NewRouter(chassis.RouterConfig{
		Service: "shipping", OpsToken: cfg.OpsToken, DefaultTenant: cfg.DefaultTenant,
		Checks: map[string]chassis.Check{"database": chassis.DatabaseCheck(s.db), "bus": bus.Ready},
	})
	s.Routes(r)
	r.ServeAudit(s.db, bus, readBooks)
	return r, r.ServeOpenAPI(openapi.Shipping)
}

// Migrate brings the service's tables and its libraries' up to date. Several instances may call it at once.
func Migrate(ctx context.Context, db *gorm.DB) error {
	if err := events.Migrate(ctx, db); err != nil {
		return fmt.Errorf("migrate events: %w", err)
	}
	return chassis.Migrate(ctx, db, Migrations)
}
