package order

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// OnProductCreated keeps a copy of the new product, so that orders can be priced here.
func (s *Service) OnProductCreated(_ context.Context, tx *gorm.DB, e events.Received[contracts.ProductCreated]) error {
	return keepProduct(tx, Product{
		SKU: e.Event.SKU, Name: e.Event.Name, Price: Money(e.Event.Price), Version: e.Event.Version,
	})
}
