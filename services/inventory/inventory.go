// Package inventory owns the catalogue and the stock, and reserves stock for orders.
//
// Guarantees: an order gets all of its items or none. No piece is promised twice, so that neither the stock on hand nor
// the available stock drops below zero. Reserved stock leaves once or is released once, whatever is repeated, lost or
// reordered. Too little stock is an event (inventory.reservation_failed); a database that is unavailable is an error,
// and the event is retried.
//
// This file is the domain: the types and the rules, without clock, database or broker. An event goes this way:
// subscriptions.go routes it to a rule, service.go locks the rows that it is about, runs the rule and publishes the
// events that the rule returns.
package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/quadrille-dev/quadrille/contracts"
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

// Shortage is a product of which an order requested more than was available.
type Shortage struct {
	SKU       string
	Requested int
	Available int
}

// State is the state of a reservation.
type State string

// States of a reservation. Only a reserved order has stock set aside.
const (
	None      State = "none"
	Tombstone State = "tombstone" // cancelled before the order arrived
	Reserved  State = "reserved"
	Failed    State = "failed" // some item was short, so nothing was reserved
	Released  State = "released"
	Committed State = "committed" // the stock has left
)

// Reservation is the stock reserved for one order. Its methods are the rules: each is named for the event that it
// handles, takes the products of the order and returns the events to publish. An event that no longer matters changes
// nothing.
type Reservation struct {
	OrderID   string
	State     State
	Items     []Item     // one line per product, sorted by SKU
	Shortages []Shortage // why the reservation failed
}

// NewReservation returns the reservation of an order that has not arrived yet.
func NewReservation(orderID string) Reservation { return Reservation{OrderID: orderID, State: None} }

// OrderCreated reserves every item, or none if some are short. An order that was cancelled before it arrived gets
// nothing.
func (r *Reservation) OrderCreated(items []Item, stock Stock) []contracts.ETO {
	if r.State != None {
		return nil
	}
	r.Items = items
	for _, item := range items {
		if available := stock.available(item.SKU); available < item.Quantity {
			r.Shortages = append(r.Shortages, Shortage{SKU: item.SKU, Requested: item.Quantity, Available: available})
		}
	}
	if len(r.Shortages) > 0 {
		r.State = Failed
		failed := contracts.InventoryReservationFailed{OrderID: r.OrderID}
		for _, shortage := range r.Shortages {
			failed.Shortages = append(failed.Shortages, contracts.Shortage(shortage))
		}
		return []contracts.ETO{failed}
	}
	r.State = Reserved
	reserved := contracts.InventoryReserved{OrderID: r.OrderID}
	for _, item := range items {
		stock[item.SKU].Reserved += item.Quantity
		reserved.Items = append(reserved.Items, contracts.Item(item))
	}
	return []contracts.ETO{reserved}
}

// PaymentFailed releases the stock: the card was declined.
func (r *Reservation) PaymentFailed(_ contracts.PaymentFailed, stock Stock) []contracts.ETO {
	return r.release(stock)
}

// PaymentRefunded releases the stock: the order was paid and will not be delivered.
func (r *Reservation) PaymentRefunded(_ contracts.PaymentRefunded, stock Stock) []contracts.ETO {
	return r.release(stock)
}

// PaymentVoided releases the stock: the order will never be charged. The event may arrive before the order itself;
// then the tombstone makes sure that nothing is ever reserved for it.
func (r *Reservation) PaymentVoided(_ contracts.PaymentVoided, stock Stock) []contracts.ETO {
	if r.State == None {
		r.State = Tombstone
		return nil
	}
	return r.release(stock)
}

// ShipmentDispatched removes the reserved stock: it has left with the parcel. No service waits for an event about this.
func (r *Reservation) ShipmentDispatched(_ contracts.ShipmentDispatched, stock Stock) []contracts.ETO {
	if r.State != Reserved {
		return nil
	}
	for _, item := range r.Items {
		product := stock[item.SKU]
		product.OnHand -= item.Quantity
		product.Reserved -= item.Quantity
	}
	r.State = Committed
	return nil
}

func (r *Reservation) release(stock Stock) []contracts.ETO {
	if r.State != Reserved {
		return nil
	}
	for _, item := range r.Items {
		stock[item.SKU].Reserved -= item.Quantity
	}
	r.State = Released
	return []contracts.ETO{contracts.InventoryReleased{OrderID: r.OrderID}}
}

// MaxStock is the largest quantity of one product that can be on hand.
const MaxStock = 1_000_000_000

// NewOrderLines sums the items of an order to one line per product, sorted by SKU. It returns an error if there are no
// items, or if the quantity of a product is below one or above MaxStock.
func NewOrderLines(items []Item) ([]Item, error) {
	if len(items) == 0 {
		return nil, errors.New("order has no items")
	}
	sums := map[string]int{}
	for _, item := range items {
		if item.Quantity < 1 || item.Quantity > MaxStock-sums[item.SKU] {
			return nil, fmt.Errorf("order has invalid quantity %d of product %q", item.Quantity, item.SKU)
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

// Stock holds the products of one order by SKU. Products that never existed are missing.
type Stock map[string]*Product

func (s Stock) available(sku string) int {
	if p := s[sku]; p != nil && !p.Deleted {
		return p.Available()
	}
	return 0
}

// Product is a product of the catalogue and its stock. A deleted product keeps its stock, because the goods are still
// there if it is created again, and its version, so that the events of both lives can be ordered.
type Product struct {
	SKU      string
	Name     string
	Price    Money
	Received int   // in total, since the product first existed
	OnHand   int   // received and not dispatched
	Reserved int   // the part of OnHand that is reserved for orders
	Version  int64 // grows with every change of the catalogue; 0 before the first
	Deleted  bool
}

// NewProduct returns a product that never existed.
func NewProduct(sku string) Product { return Product{SKU: sku, Deleted: true} }

// Available returns the quantity that can still be reserved.
func (p Product) Available() int { return p.OnHand - p.Reserved }

// Errors of commands about a product.
var (
	ErrUnknownProduct = errors.New("no such product")
	ErrStockReserved  = errors.New("stock of the product is reserved for orders")
	ErrTooMuchStock   = errors.New("stock of the product exceeds the maximum")
)

// Put sets the product's name and price, and creates the product if it does not exist. Repeating it changes nothing.
func (p *Product) Put(name string, price Money) []contracts.ETO {
	created := p.Deleted
	if !created && p.Name == name && p.Price == price {
		return nil
	}
	p.Name, p.Price, p.Deleted = name, price, false
	p.Version++
	if created {
		return []contracts.ETO{contracts.ProductCreated{SKU: p.SKU, Name: name, Price: contracts.Money(price), Version: p.Version}}
	}
	return []contracts.ETO{contracts.ProductUpdated{SKU: p.SKU, Name: name, Price: contracts.Money(price), Version: p.Version}}
}

// Delete removes the product from the catalogue. It returns ErrStockReserved while orders have reserved some of it.
func (p *Product) Delete() ([]contracts.ETO, error) {
	if p.Deleted {
		return nil, ErrUnknownProduct
	}
	if p.Reserved > 0 {
		return nil, ErrStockReserved
	}
	p.Deleted = true
	p.Version++
	return []contracts.ETO{contracts.ProductDeleted{SKU: p.SKU, Version: p.Version}}, nil
}

// Restock adds received stock.
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
