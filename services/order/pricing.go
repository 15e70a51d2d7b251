package order

import (
	"fmt"
	"math"

	"github.com/quadrille-dev/quadrille/contracts"
)

// Limits of one order.
const (
	MaxItems    = 50
	MaxQuantity = 1000
)

// Product is this service's copy of a product, so that orders are priced without a call to the inventory service.
type Product struct {
	SKU     string
	Name    string
	Price   Money
	Version int64
	Deleted bool // a tombstone, which keeps the version so that an older event cannot restore the product
}

func fromProductCreated(e contracts.ProductCreated) Product {
	return Product{SKU: e.SKU, Name: e.Name, Price: Money(e.Price), Version: e.Version}
}

func fromProductUpdated(e contracts.ProductUpdated) Product {
	return Product{SKU: e.SKU, Name: e.Name, Price: Money(e.Price), Version: e.Version}
}

func fromProductDeleted(e contracts.ProductDeleted) Product {
	return Product{SKU: e.SKU, Version: e.Version, Deleted: true}
}

// OrderLine is one line of a customer's request. It is received as JSON.
type OrderLine struct { //nolint:revive // order.Line would be a line of an accepted order
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// FieldError is what is wrong with one field of a request.
type FieldError struct {
	Field  string
	Detail string
}

// Price returns the items of the lines at the prices of the catalogue, and their total. It returns every field error
// rather than the first. Two lines for one product are an error, because they are more likely a fault of the client than
// a customer's intention.
func Price(lines []OrderLine, catalogue map[string]Product) ([]Item, Money, []FieldError) {
	switch {
	case len(lines) == 0:
		return nil, Money{}, []FieldError{{"items", "at least one is required"}}
	case len(lines) > MaxItems:
		return nil, Money{}, []FieldError{{"items", fmt.Sprintf("at most %d are allowed", MaxItems)}}
	}

	var wrong []FieldError
	reject := func(i int, field, format string, args ...any) {
		wrong = append(wrong, FieldError{fmt.Sprintf("items[%d].%s", i, field), fmt.Sprintf(format, args...)})
	}
	var items []Item
	total, tooLarge := Money{}, false
	first := map[string]int{}
	for i, line := range lines {
		quantityOK := line.Quantity >= 1 && line.Quantity <= MaxQuantity
		if !quantityOK {
			reject(i, "quantity", "must be between 1 and %d", MaxQuantity)
		}
		product, known := catalogue[line.SKU]
		earlier, repeated := first[line.SKU]
		switch {
		case line.SKU == "":
			reject(i, "sku", "is required")
			continue
		case repeated:
			reject(i, "sku", "repeats items[%d].sku: one line for each product", earlier)
			continue
		case !known || product.Deleted:
			reject(i, "sku", "there is no such product")
			continue
		}
		first[line.SKU] = i
		if total.Currency == "" {
			total.Currency = product.Price.Currency
		}
		if product.Price.Currency != total.Currency {
			reject(i, "sku", "is sold in %s, the items before it in %s: one currency for each order",
				product.Price.Currency, total.Currency)
			continue
		}
		if !quantityOK {
			continue
		}
		sum, ok := addTimes(total.Amount, product.Price.Amount, int64(line.Quantity))
		tooLarge = tooLarge || !ok
		total.Amount = sum
		items = append(items, Item{SKU: line.SKU, Name: product.Name, Quantity: line.Quantity, UnitPrice: product.Price})
	}
	if len(wrong) == 0 && tooLarge {
		wrong = append(wrong, FieldError{"items", "the total is too large"})
	}
	if len(wrong) == 0 && total.Amount == 0 {
		wrong = append(wrong, FieldError{"items", "the total is zero"})
	}
	if len(wrong) > 0 {
		return nil, Money{}, wrong
	}
	return items, total, nil
}

// addTimes returns sum + price × quantity and true, or sum and false if the result overflows or the price is negative.
func addTimes(sum, price, quantity int64) (int64, bool) {
	if price < 0 || price > (math.MaxInt64-sum)/quantity {
		return sum, false
	}
	return sum + price*quantity, true
}
