package loyalty

import (
	"context"
	"embed"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed openapi.yaml
var document []byte

// Service applies the rules of loyalty.go to stored accounts.
type Service struct{ db *gorm.DB }

// Run runs the service until ctx ends, see [chassis.Run].
func Run(ctx context.Context, cfg chassis.Config, db *gorm.DB, tr transport.Transport) error {
	return chassis.Run(ctx, cfg, (&Service{db}).Definition(), db, tr)
}

// Definition returns what the service adds to the chassis.
func (s *Service) Definition() chassis.Service {
	return chassis.Service{
		Name: "loyalty", Events: events.Declarations(contracts.Events), Subscriptions: Subscriptions(s),
		Migrations: migrations, OpenAPI: document,
	}
}
