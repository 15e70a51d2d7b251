package chassis

import (
	"context"
	"fmt"
	"io/fs"
	"maps"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Service is what a service adds to the chassis. Only Name is required.
type Service struct {
	// Name names the service in its exchange and queues, in logs, spans and audit snapshots: lower case, "inventory".
	Name string
	// Events declares the events that the service publishes or handles.
	Events []events.Declaration
	// Subscriptions lists its handlers of events.
	Subscriptions []events.Subscription
	// Migrations holds its tables, see [database.Migrate].
	Migrations fs.FS
	// Routes adds its HTTP handlers to the router.
	Routes func(r *httpapi.Router)
	// OpenAPI is its OpenAPI 3.1 document, in YAML or JSON.
	OpenAPI []byte
	// Audit returns its own lists for the audit snapshot, read in tx.
	Audit func(tx *gorm.DB) httpapi.AuditEntries
	// Checks lists further conditions of readiness, by name, beside "database" and "bus".
	Checks map[string]httpapi.Check
	// Start is called once, after the migrations and before the service is ready.
	Start func(ctx context.Context) error
	// Background lists work beside the requests and handlers. Each function works until its context ends; an error stops
	// the service.
	Background []func(ctx context.Context) error
}

// Migrate brings the tables of the service up to date: those of pkg/events, those of the chassis, and its own. Several
// instances can call it at the same time.
func (s Service) Migrate(ctx context.Context, db *gorm.DB) error {
	if err := events.Migrate(ctx, db); err != nil {
		return fmt.Errorf("migrate events: %w", err)
	}
	if err := httpapi.Migrate(ctx, db); err != nil {
		return err
	}
	return database.Migrate(ctx, db, "schema_migrations", s.Migrations)
}

// Bus returns the bus of the service, which publishes its events and calls its handlers. db must be migrated before the bus
// runs.
func (s Service) Bus(cfg Config, db *gorm.DB, tr transport.Transport) (*events.Bus, error) {
	return events.New(db, tr, cfg.eventsConfig(s), s.Subscriptions...)
}

// Router returns the router with everything that the service serves.
func (s Service) Router(cfg Config, db *gorm.DB, bus *events.Bus) (*httpapi.Router, error) {
	checks := map[string]httpapi.Check{"database": database.Check(db), "bus": bus.Ready}
	maps.Copy(checks, s.Checks)
	r := httpapi.NewRouter(httpapi.RouterConfig{
		Service: s.Name, OpsToken: cfg.OpsToken.Reveal(), DefaultTenant: cfg.DefaultTenant,
		TrustTraceContext: cfg.TrustTraceContext, MaxBodyMemory: cfg.MaxBodyMemory,
		Checks: checks,
	})
	if s.Routes != nil {
		s.Routes(r)
	}
	if s.Audit == nil {
		s.Audit = func(*gorm.DB) httpapi.AuditEntries { return nil }
	}
	r.ServeAudit(db, bus, s.Audit)
	if s.OpenAPI == nil {
		return r, nil
	}
	if err := r.ServeOpenAPI(s.OpenAPI); err != nil {
		return nil, fmt.Errorf("OpenAPI document of %s: %w", s.Name, err)
	}
	return r, nil
}
