package stackclient

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"
)

// Product is the stock of a product.
type Product struct {
	OnHand   int `json:"onHand"`
	Reserved int `json:"reserved"`
}

// Product returns one product.
func (c *Client) Product(ctx context.Context, sku string) (p Product, err error) {
	return p, c.Get(ctx, c.stack.Inventory+"/api/v1/products/"+sku, &p)
}

// CreateProduct creates a product with this many units, which may be zero. It can be ordered when the order service has
// received it; see Orderable.
func (c *Client) CreateProduct(ctx context.Context, sku, name string, price Money, units int) error {
	url := c.stack.Inventory + "/api/v1/products/" + sku
	if err := c.create(ctx, http.MethodPut, url, map[string]any{"name": name, "price": price}); err != nil || units == 0 {
		return err
	}
	return c.create(ctx, http.MethodPost, url+"/restock", map[string]any{"quantity": units}, "Idempotency-Key", uuid.NewString())
}

func (c *Client) create(ctx context.Context, method, url string, body any, header ...string) error {
	resp, err := c.Do(ctx, method, url, body, header...)
	if err == nil && resp.Status != http.StatusCreated {
		err = &StatusError{method + " " + url, resp}
	}
	return err
}

// DeleteProduct deletes a product. Inventory refuses that while units of it are reserved.
func (c *Client) DeleteProduct(ctx context.Context, sku string) error {
	url := c.stack.Inventory + "/api/v1/products/" + sku
	resp, err := c.Do(ctx, http.MethodDelete, url, nil)
	if err == nil && resp.Status != http.StatusNoContent {
		err = &StatusError{"DELETE " + url, resp}
	}
	return err
}

// Orderable reports whether the order service has received all of these products. It learns of products from events. An
// order for them and for a product that does not exist is refused; the refusal names the products that are unknown.
func (c *Client) Orderable(ctx context.Context, skus ...string) (bool, error) {
	var items []Item
	for _, sku := range skus {
		items = append(items, Item{sku, 1})
	}
	probe := ValidOrder("probe", append(items, Item{"no-such-product", 1})...)
	resp, err := c.Place(ctx, probe, uuid.NewString())
	if err != nil || resp.Status != http.StatusUnprocessableEntity {
		return false, err
	}
	for i := range skus {
		if bytes.Contains(resp.Body, fmt.Appendf(nil, "items[%d].sku", i)) {
			return false, nil
		}
	}
	return true, nil
}
