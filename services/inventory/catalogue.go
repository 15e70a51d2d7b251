package inventory

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// seed is the catalogue of the demo. One product is nearly sold out, and one is sold out.
var seed = []Product{
	{SKU: "dance-shoes", Name: "Dance shoes, black leather", Price: Money{Amount: 8900, Currency: "EUR"}, OnHand: 1000},
	{SKU: "fan", Name: "Silk fan", Price: Money{Amount: 1999, Currency: "EUR"}, OnHand: 1000},
	{SKU: "gloves", Name: "White evening gloves", Price: Money{Amount: 2450, Currency: "EUR"}, OnHand: 1000},
	{SKU: "score", Name: "Quadrilles for four hands, sheet music", Price: Money{Amount: 1250, Currency: "EUR"}, OnHand: 1000},
	{SKU: "violin", Name: "Dancing master's violin", Price: Money{Amount: 24900, Currency: "EUR"}, OnHand: 1},
	{SKU: "chandelier", Name: "Crystal chandelier", Price: Money{Amount: 49900, Currency: "EUR"}, OnHand: 0},
}

// SeedSKUs returns the SKUs of the products that Seed creates.
func SeedSKUs() []string {
	skus := make([]string, len(seed))
	for i, product := range seed {
		skus[i] = product.SKU
	}
	return skus
}

// Seed creates the products of a small catalogue, with their stock. Products that exist, or existed once, stay as they
// are, so that Seed may run again and in several instances at once.
func (s *Service) Seed(ctx context.Context) error {
	ctx = events.WithCorrelationID(ctx, "seed-catalogue")
	for _, product := range seed {
		err := database.Transaction(ctx, s.db, func(tx *gorm.DB) error {
			_, err := s.changeProduct(ctx, tx, product.SKU, func(p *Product) ([]contracts.ETO, error) {
				if p.Version > 0 {
					return nil, nil
				}
				etos := p.Put(product.Name, product.Price)
				return etos, p.Restock(product.OnHand)
			})
			return err
		})
		if err != nil {
			return fmt.Errorf("seed catalogue: %w", err)
		}
	}
	return nil
}
