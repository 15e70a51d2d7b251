package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/contracts/openapi"
	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Run runs the service until ctx ends, see [chassis.Run].
func Run(ctx context.Context, cfg Config, db *gorm.DB, tr transport.Transport) error {
	timeouts := Timeouts{Payment: cfg.PaymentDeadline, Services: cfg.StalledAfter, Carrier: cfg.CarrierStalledAfter}
	s := New(db, timeouts, cfg.AwaitProducts...)
	return chassis.Run(ctx, cfg.Config, s.Definition(), db, tr)
}

// Definition returns what the service adds to the chassis.
func (s *Service) Definition() chassis.Service {
	return chassis.Service{
		Name:          "order",
		Events:        events.Declarations(contracts.Events),
		Subscriptions: Subscriptions(s),
		Migrations:    Migrations,
		Routes:        s.Routes,
		OpenAPI:       openapi.Order,
		Audit:         s.auditRows,
		Checks:        map[string]httpapi.Check{"catalogue": func(ctx context.Context) error { return s.catalogue.check(s.db.WithContext(ctx)) }},
		Background:    []func(context.Context) error{s.Watch, s.measure},
	}
}

// measure reports the gauges of [Service.Measure] until ctx ends.
func (s *Service) measure(ctx context.Context) error {
	stop, err := s.Measure()
	if err != nil {
		return err
	}
	<-ctx.Done()
	return stop()
}
