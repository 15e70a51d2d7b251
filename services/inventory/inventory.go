// Package inventory owns the catalogue and the stock, and sets stock aside for orders.
//
// It promises: an order gets all of its items or none; no product is ever promised twice, so that neither the stock
// on hand nor what is available drops below zero; and what was set aside leaves the shelf once or is released once,
// whatever is repeated, lost or reordered. Too little stock is an event, a database that does not answer is an error
// that is retried.
//
// This file is the domain: what a product and a reservation are and what each fact does to them. It knows no clock,
// no database and no broker. The way of a fact: on_<event>.go receives it, service.go locks what it is about, runs a
// rule from here and publishes what the rule answers.
package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Money is an amount in minor units of an ISO 4217 currency.
type Money struct {
	Amount   int64
	Currency string
}

// Item is a quantity of one product.
type Item struct {
	SKU      string
	Quantity int
}

// Shortage is a product that an order wanted more of than there was.
type Shortage struct {
	SKU       string
	Requested int
	Available int
}

// State is where an order's reservation stands.
type State string

// The states. Only a reserved order has stock set aside.
const (
	None      State = "none"
	Tombstone State = "tombstone" // called off before the order was met
	Reserved  State = "reserved"
	Failed    State = "failed" // some item was short, so nothing was set aside
	Released  State = "released"
	Committed State = "committed" // the stock has left
)

// Fact is something that this service tells the others.
type Fact string

// What a rule may decide to publish.
const (
	StockReserved  Fact = "stock reserved"
	StockShort     Fact = "stock short"
	StockReleased  Fact = "stock released"
	ProductCreated Fact = "product created"
	ProductUpdated Fact = "product updated"
	ProductDeleted Fact = "product deleted"
)

// Reservation is what is set aside for one order. Its methods are the rules: each takes a fact and the shelf with the
// order's products, moves both on and answers what to publish; nil means that there is nothing to tell, which is also
// the answer to a fact that no longer matters.
type Reservation struct {
	OrderID   string
	State     State
	Items     []Item     // what the order wants, one line a product
	Shortages []Shortage // why it failed
}

// NewReservation is the reservation of an order that nothing is known about yet.
func NewReservation(orderID string) Reservation { return Reservation{OrderID: orderID, State: None} }

// OrderCreated sets aside every item, or none and says what was short. An order that was called off before it was met
// gets nothing.
func (r *Reservation) OrderCreated(items []Item, shelf Stock) []Fact {
	if r.State != None {
		return nil
	}
	r.Items = items
	for _, item := range items {
		if available := shelf.available(item.SKU); available < item.Quantity {
			r.Shortages = append(r.Shortages, Shortage{SKU: item.SKU, Requested: item.Quantity, Available: available})
		}
	}
	if len(r.Shortages) > 0 {
		r.State = Failed
		return []Fact{StockShort}
	}
	for _, item := range items {
		shelf[item.SKU].Reserved += item.Quantity
	}
	r.State = Reserved
	return []Fact{StockReserved}
}

// PaymentFailed says that the card was declined.
func (r *Reservation) PaymentFailed(shelf Stock) []Fact { return r.release(shelf) }

// PaymentRefunded says that the order was paid for and will not be delivered.
func (r *Reservation) PaymentRefunded(shelf Stock) []Fact { return r.release(shelf) }

// PaymentVoided says that the order will never be charged. It may arrive before the order itself, and then makes sure
// that nothing is ever set aside for it.
func (r *Reservation) PaymentVoided(shelf Stock) []Fact {
	if r.State == None {
		r.State = Tombstone
		return nil
	}
	return r.release(shelf)
}

// ShipmentDispatched says that the parcel was handed over: the stock has left. Nobody waits to be told.
func (r *Reservation) ShipmentDispatched(shelf Stock) []Fact {
	if r.State != Reserved {
		return nil
	}
	for _, item := range r.Items {
		product := shelf[item.SKU]
		product.OnHand -= item.Quantity
		product.Reserved -= item.Quantity
	}
	r.State = Committed
	return nil
}

func (r *Reservation) release(shelf Stock) []Fact {
	if r.State != Reserved {
		return nil
	}
	for _, item := range r.Items {
		shelf[item.SKU].Reserved -= item.Quantity
	}
	r.State = Released
	return []Fact{StockReleased}
}

// MaxStock is the most of one product that can be on hand.
const MaxStock = 1_000_000_000

// Lines sums an order's items up to one line a product, sorted by SKU. The error says that this is no order: nothing
// wanted, or a quantity below one or beyond MaxStock.
func NewOrderLines(items []Item) ([]Item, error) {
	if len(items) == 0 {
		return nil, errors.New("an order without items")
	}
	sums := map[string]int{}
	for _, item := range items {
		if item.Quantity < 1 || item.Quantity > MaxStock-sums[item.SKU] {
			return nil, fmt.Errorf("an order for %d of %q", item.Quantity, item.SKU)
		}
		sums[item.SKU] += item.Quantity
	}
	lines := make([]Item, 0, len(sums))
	for sku, quantity := range sums {
		lines = append(lines, Item{SKU: sku, Quantity: quantity})
	}
	slices.SortFunc(lines, func(a, b Item) int { return cmp.Compare(a.SKU, b.SKU) })
	return lines, nil
}

// Shelf holds the products that a rule is about, by SKU. Those that never existed are not on it.
type Stock map[string]*Product

func (s Stock) available(sku string) int {
	if p := s[sku]; p != nil && !p.Deleted {
		return p.Available()
	}
	return 0
}

// Product is a thing that can be ordered, and its stock. A deleted product keeps both its stock, since the goods are
// still there if it is created again, and its version, so that events about its two lives can be told apart.
type Product struct {
	SKU      string
	Name     string
	Price    Money
	Received int   // ever
	OnHand   int   // in the warehouse: what was supplied and has not left
	Reserved int   // of those, set aside for orders
	Version  int64 // grows with every change of the catalogue; 0 before the first
	Deleted  bool
}

// NewProduct is a product that never existed.
func NewProduct(sku string) Product { return Product{SKU: sku, Deleted: true} }

// Available is what can still be promised.
func (p Product) Available() int { return p.OnHand - p.Reserved }

// Why a change of a product is refused.
var (
	ErrUnknownProduct = errors.New("no such product")
	ErrStockReserved  = errors.New("stock is set aside for orders")
	ErrTooMuchStock   = errors.New("more stock than can be kept")
)

// Put gives the product its name and price, creating it if need be. Putting what is there already changes nothing.
func (p *Product) Put(name string, price Money) []Fact {
	fact := ProductUpdated
	if p.Deleted {
		fact = ProductCreated
	} else if p.Name == name && p.Price == price {
		return nil
	}
	p.Name, p.Price, p.Deleted = name, price, false
	p.Version++
	return []Fact{fact}
}

// Delete takes the product out of the catalogue, unless orders still wait for some of it.
func (p *Product) Delete() ([]Fact, error) {
	if p.Deleted {
		return nil, ErrUnknownProduct
	}
	if p.Reserved > 0 {
		return nil, ErrStockReserved
	}
	p.Deleted = true
	p.Version++
	return []Fact{ProductDeleted}, nil
}

// Supply adds newly arrived stock.
func (p *Product) Restock(quantity int) error {
	if p.Deleted {
		return ErrUnknownProduct
	}
	if quantity > MaxStock-p.OnHand {
		return ErrTooMuchStock
	}
	p.Received += quantity
	p.OnHand += quantity
	return nil
}
