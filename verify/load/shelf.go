package load

import (
	"context"
	"fmt"
	"time"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// shelf has the products of one run.
type shelf struct {
	client *stackclient.Client
	skus   []string // of each, enough for everybody
	empty  string   // none of it
	units  int      // of each of skus, in the beginning
}

// breadth is how many products the customers choose from, so that they do not all queue for the same row.
const breadth = 10

// fill puts new products on the shelf and blocks until they can be ordered.
func fill(ctx context.Context, client *stackclient.Client, run string, units int, patience time.Duration) (*shelf, error) {
	s := &shelf{client: client, empty: "load-" + run + "-none", units: units}
	price := stackclient.Money{Amount: 1999, Currency: "EUR"}
	for i := range breadth {
		s.skus = append(s.skus, fmt.Sprintf("load-%s-%d", run, i))
		if err := client.PutOnShelf(ctx, s.skus[i], "Cotillion favour", price, units); err != nil {
			return s, fmt.Errorf("put products on the shelf: %w", err)
		}
	}
	if err := client.PutOnShelf(ctx, s.empty, "Cotillion favour, out of stock", price, 0); err != nil {
		return s, fmt.Errorf("put products on the shelf: %w", err)
	}
	return s, stackclient.Eventually(ctx, patience, "the order service to hear of the products", func(ctx context.Context) (bool, string, error) {
		known, err := client.Orderable(ctx, append([]string{s.empty}, s.skus...)...)
		return known, "", err
	})
}

// check blocks until the shelf has what it should have after so many pieces were sold, by sku. Its error is what it has
// instead.
func (s *shelf) check(ctx context.Context, sold map[string]int, patience time.Duration) error {
	return stackclient.Eventually(ctx, patience, "the shelf to have what was not sold", func(ctx context.Context) (bool, string, error) {
		for _, sku := range append([]string{s.empty}, s.skus...) {
			want := stackclient.Product{OnHand: s.units - sold[sku]}
			if sku == s.empty {
				want.OnHand = 0
			}
			got, err := s.client.Product(ctx, sku)
			if err != nil || got != want {
				return false, fmt.Sprintf("of %s there should be %d on hand, and there are %d, %d of them reserved",
					sku, want.OnHand, got.OnHand, got.Reserved), err
			}
		}
		return true, "", nil
	})
}

// clear takes all products away, so that other customers need not see them. It answers what is left, if anything.
func (s *shelf) clear(ctx context.Context) error {
	for _, sku := range append([]string{s.empty}, s.skus...) {
		if err := s.client.TakeOffShelf(ctx, sku); err != nil {
			return err
		}
	}
	return nil
}
