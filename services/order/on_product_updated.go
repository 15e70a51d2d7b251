package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnProductUpdated brings the copy of the product up to date.
func (s *Service) OnProductUpdated(_ context.Context, tx *gorm.DB, e events.Received[contracts.ProductUpdated]) error {
	return keepProduct(tx, Product{
		SKU: e.Event.SKU, Name: e.Event.Name, Price: Money(e.Event.Price), Version: e.Event.Version,
	})
}
