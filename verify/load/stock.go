package load

import (
	"context"
	"fmt"
	"time"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// stock has the products of one run.
type stock struct {
	client     *stackclient.Client
	skus       []string // with enough units for all orders
	outOfStock string   // a product without units
	units      int      // of each of skus, initially
}

// productCount is the number of products, so that the orders do not all lock the same row.
const productCount = 10

// createStock creates the products and blocks until they can be ordered.
func createStock(ctx context.Context, client *stackclient.Client, run string, units int, timeout time.Duration) (*stock, error) {
	s := &stock{client: client, outOfStock: "load-" + run + "-none", units: units}
	price := stackclient.Money{Amount: 1999, Currency: "EUR"}
	for i := range productCount {
		s.skus = append(s.skus, fmt.Sprintf("load-%s-%d", run, i))
		if err := client.CreateProduct(ctx, s.skus[i], "Cotillion favour", price, units); err != nil {
			return s, fmt.Errorf("create products: %w", err)
		}
	}
	if err := client.CreateProduct(ctx, s.outOfStock, "Cotillion favour, out of stock", price, 0); err != nil {
		return s, fmt.Errorf("create products: %w", err)
	}
	return s, stackclient.Eventually(ctx, timeout, "the order service to receive the products", func(ctx context.Context) (bool, string, error) {
		known, err := client.Orderable(ctx, append([]string{s.outOfStock}, s.skus...)...)
		return known, "", err
	})
}

// check blocks until the stock is as expected after these sales, by SKU. Its error describes the difference.
func (s *stock) check(ctx context.Context, sold map[string]int, timeout time.Duration) error {
	return stackclient.Eventually(ctx, timeout, "the expected stock", func(ctx context.Context) (bool, string, error) {
		for _, sku := range append([]string{s.outOfStock}, s.skus...) {
			want := stackclient.Product{OnHand: s.units - sold[sku]}
			if sku == s.outOfStock {
				want.OnHand = 0
			}
			got, err := s.client.Product(ctx, sku)
			if err != nil || got != want {
				return false, fmt.Sprintf("%s: expected %d on hand, found %d, %d of them reserved",
					sku, want.OnHand, got.OnHand, got.Reserved), err
			}
		}
		return true, "", nil
	})
}

// delete deletes all products.
func (s *stock) delete(ctx context.Context) error {
	for _, sku := range append([]string{s.outOfStock}, s.skus...) {
		if err := s.client.DeleteProduct(ctx, sku); err != nil {
			return err
		}
	}
	return nil
}
