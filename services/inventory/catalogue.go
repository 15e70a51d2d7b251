package inventory

import (
	"context"
	"fmt"
	"log/slog"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

// changeProduct locks the product (making it if the SKU is new to us), lets the rule decide, stores it and publishes
// what was decided, all in tx. If the rule refuses, tx is to be rolled back.
func (s *Service) changeProduct(ctx context.Context, tx *gorm.DB, sku string,
	rule func(*Product) ([]Fact, error),
) (Product, error) {
	p, err := lockProduct(tx, sku)
	if err != nil {
		return Product{}, fmt.Errorf("lock product %s: %w", sku, err)
	}
	facts, err := rule(&p)
	if err != nil {
		return Product{}, err
	}
	if err := storeProduct(tx, p); err != nil {
		return Product{}, fmt.Errorf("store product %s: %w", sku, err)
	}
	return p, s.publishProduct(ctx, tx, p, facts)
}

// publishProduct tells the others, in their words, what became of the catalogue. Stock is nobody else's business.
func (s *Service) publishProduct(ctx context.Context, tx *gorm.DB, p Product, facts []Fact) error {
	for _, fact := range facts {
		var eto events.ETO
		switch fact {
		case ProductCreated:
			eto = contracts.ProductCreated{SKU: p.SKU, Name: p.Name, Price: contracts.Money(p.Price), Version: p.Version}
		case ProductUpdated:
			eto = contracts.ProductUpdated{SKU: p.SKU, Name: p.Name, Price: contracts.Money(p.Price), Version: p.Version}
		case ProductDeleted:
			eto = contracts.ProductDeleted{SKU: p.SKU, Version: p.Version}
		default:
			return fmt.Errorf("no event for %q", fact)
		}
		if err := events.Publish(ctx, tx, eto, events.WithSequence(p.Version)); err != nil {
			return err
		}
		slog.InfoContext(ctx, string(fact), "sku", p.SKU, "version", p.Version)
	}
	return nil
}

// seed is the catalogue of a shop that wants to be tried out at once. One thing is nearly gone, and one is.
var seed = []Product{
	{SKU: "dance-shoes", Name: "Dance shoes, black leather", Price: Money{Amount: 8900, Currency: "EUR"}, OnHand: 1000},
	{SKU: "fan", Name: "Silk fan", Price: Money{Amount: 1999, Currency: "EUR"}, OnHand: 1000},
	{SKU: "gloves", Name: "White evening gloves", Price: Money{Amount: 2450, Currency: "EUR"}, OnHand: 1000},
	{SKU: "score", Name: "Quadrilles for four hands, sheet music", Price: Money{Amount: 1250, Currency: "EUR"}, OnHand: 1000},
	{SKU: "violin", Name: "Dancing master's violin", Price: Money{Amount: 24900, Currency: "EUR"}, OnHand: 1},
	{SKU: "chandelier", Name: "Crystal chandelier", Price: Money{Amount: 49900, Currency: "EUR"}, OnHand: 0},
}

// Seed creates the products of a small catalogue that were never there, with their stock. It may run again, and in
// several instances at once: what exists, or did once, is left alone.
func (s *Service) Seed(ctx context.Context) error {
	ctx = events.WithCorrelationID(ctx, "seed-catalogue")
	for _, want := range seed {
		err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			_, err := s.changeProduct(ctx, tx, want.SKU, func(p *Product) ([]Fact, error) {
				if p.Version > 0 {
					return nil, nil
				}
				facts := p.Put(want.Name, want.Price)
				return facts, p.Restock(want.OnHand)
			})
			return err
		})
		if err != nil {
			return fmt.Errorf("seed catalogue: %w", err)
		}
	}
	return nil
}
