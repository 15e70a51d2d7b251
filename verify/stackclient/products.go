package stackclient

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"
)

// Product is what is on the shelf.
type Product struct {
	OnHand   int `json:"onHand"`
	Reserved int `json:"reserved"`
}

// Product reads one product.
func (c *Client) Product(ctx context.Context, sku string) (p Product, err error) {
	return p, c.Get(ctx, c.shop.Inventory+"/api/v1/products/"+sku, &p)
}

// PutOnShelf makes a new product with so many units, which may be none. It can be ordered once the order service has
// heard of it; see Orderable.
func (c *Client) PutOnShelf(ctx context.Context, sku, name string, price Money, units int) error {
	at := c.shop.Inventory + "/api/v1/products/" + sku
	if err := c.create(ctx, http.MethodPut, at, map[string]any{"name": name, "price": price}); err != nil || units == 0 {
		return err
	}
	return c.create(ctx, http.MethodPost, at+"/restock", map[string]any{"quantity": units}, "Idempotency-Key", uuid.NewString())
}

func (c *Client) create(ctx context.Context, method, url string, body any, header ...string) error {
	a, err := c.Do(ctx, method, url, body, header...)
	if err == nil && a.Status != http.StatusCreated {
		err = &StatusError{method + " " + url, a}
	}
	return err
}

// TakeOffShelf deletes a product. It is refused while an order holds some of it.
func (c *Client) TakeOffShelf(ctx context.Context, sku string) error {
	url := c.shop.Inventory + "/api/v1/products/" + sku
	a, err := c.Do(ctx, http.MethodDelete, url, nil)
	if err == nil && a.Status != http.StatusNoContent {
		err = &StatusError{"DELETE " + url, a}
	}
	return err
}

// Orderable says whether the order service, which hears of products by events, knows all of these. An order for them
// and for something that does not exist is refused; it knows them once the refusal names only the other.
func (c *Client) Orderable(ctx context.Context, skus ...string) (bool, error) {
	var items []Item
	for _, sku := range skus {
		items = append(items, Item{sku, 1})
	}
	probe := GoodOrder("asks-only", append(items, Item{"no-such-product", 1})...)
	a, err := c.Place(ctx, probe, uuid.NewString())
	if err != nil || a.Status != http.StatusUnprocessableEntity {
		return false, err
	}
	for i := range skus {
		if bytes.Contains(a.Body, fmt.Appendf(nil, "items[%d].sku", i)) {
			return false, nil
		}
	}
	return true, nil
}
