package order

import (
	"fmt"
	"math"
)

// What one order may hold.
const (
	MaxItems    = 50
	MaxQuantity = 1000
)

// Product is this service's copy of what inventory says about a product, enough to price an order without asking.
type Product struct {
	SKU     string
	Name    string
	Price   Money
	Version int64
	Deleted bool // a tombstone: keeps the version, so that a late older event cannot bring the product back
}

// Wish is one line of what a customer asks for. It is sent as JSON.
type OrderLine struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// Mistake is what is wrong with one field of a request.
type FieldError struct {
	Field  string
	Detail string
}

// Price turns wishes into items at today's prices and adds them up. It names every mistake rather than the first.
// A product may be wished for once only: two lines for one product look like a mistake of the shop window.
func Price(wishes []OrderLine, catalogue map[string]Product) ([]Item, Money, []FieldError) {
	switch {
	case len(wishes) == 0:
		return nil, Money{}, []FieldError{{"items", "at least one is required"}}
	case len(wishes) > MaxItems:
		return nil, Money{}, []FieldError{{"items", fmt.Sprintf("at most %d are allowed", MaxItems)}}
	}

	var mistakes []FieldError
	wrong := func(i int, field, format string, args ...any) {
		mistakes = append(mistakes, FieldError{fmt.Sprintf("items[%d].%s", i, field), fmt.Sprintf(format, args...)})
	}
	var items []Item
	total, tooMuch := Money{}, false
	first := map[string]int{}
	for i, w := range wishes {
		quantityOK := w.Quantity >= 1 && w.Quantity <= MaxQuantity
		if !quantityOK {
			wrong(i, "quantity", "must be between 1 and %d", MaxQuantity)
		}
		product, known := catalogue[w.SKU]
		earlier, repeated := first[w.SKU]
		switch {
		case w.SKU == "":
			wrong(i, "sku", "is required")
			continue
		case repeated:
			wrong(i, "sku", "repeats items[%d].sku: one line for each product", earlier)
			continue
		case !known || product.Deleted:
			wrong(i, "sku", "there is no such product")
			continue
		}
		first[w.SKU] = i
		if total.Currency == "" {
			total.Currency = product.Price.Currency
		}
		if product.Price.Currency != total.Currency {
			wrong(i, "sku", "is sold in %s, the items before it in %s: one currency for each order",
				product.Price.Currency, total.Currency)
			continue
		}
		if !quantityOK {
			continue
		}
		sum, ok := addTimes(total.Amount, product.Price.Amount, int64(w.Quantity))
		tooMuch = tooMuch || !ok
		total.Amount = sum
		items = append(items, Item{SKU: w.SKU, Name: product.Name, Quantity: w.Quantity, UnitPrice: product.Price})
	}
	if len(mistakes) == 0 && tooMuch {
		mistakes = append(mistakes, FieldError{"items", "the total is too large"})
	}
	if len(mistakes) == 0 && total.Amount == 0 {
		mistakes = append(mistakes, FieldError{"items", "there is nothing to pay"})
	}
	if len(mistakes) > 0 {
		return nil, Money{}, mistakes
	}
	return items, total, nil
}

// addTimes is sum + price × quantity; false, and the sum as it was, if that does not fit or the price is negative.
func addTimes(sum, price, quantity int64) (int64, bool) {
	if price < 0 || price > (math.MaxInt64-sum)/quantity {
		return sum, false
	}
	return sum + price*quantity, true
}
