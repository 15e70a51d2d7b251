package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnProductDeleted leaves a tombstone, so that an older event that comes late cannot bring the product back.
func (s *Service) OnProductDeleted(_ context.Context, tx *gorm.DB, e events.Received[contracts.ProductDeleted]) error {
	return keepProduct(tx, Product{SKU: e.Event.SKU, Version: e.Event.Version, Deleted: true})
}
