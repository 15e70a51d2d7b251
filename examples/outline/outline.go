// Package outline is the outline of pkg/events that README.md shows: an event, a transaction that publishes it, and a
// handler in another service. Complete programs are in quickstart and quickstart-rabbitmq.
package outline

import (
	"context"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Order is a row of the service order.
type Order struct{ ID, SKU string }

// README.md shows what follows.

// OrderPlaced is published by the service order.
type OrderPlaced struct {
	OrderID, SKU string
}

func (OrderPlaced) EventType() string { return "order.placed.v1" }
func (e OrderPlaced) Subject() string { return e.OrderID }

var declared = []events.Declaration{{ETO: OrderPlaced{}, Publisher: "order", Mandatory: true}}

// The order and its event are committed together, or neither is.
func place(ctx context.Context, db *gorm.DB, order Order) error {
	return db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&order).Error; err != nil {
			return err
		}
		return events.Publish(ctx, tx, OrderPlaced{OrderID: order.ID, SKU: order.SKU})
	})
}

// In another service: what the handler does in tx happens once per event, however often the event is delivered.
func reserve(ctx context.Context, tx *gorm.DB, e events.Received[OrderPlaced]) error {
	return tx.Exec("update stock set reserved = reserved + 1 where sku = ?", e.Event.SKU).Error
}

func run(ctx context.Context, db *gorm.DB, broker transport.Transport) error {
	bus, err := events.New(db, broker, events.Config{Service: "stock", Events: declared},
		events.Handle("order-placed", reserve))
	if err != nil {
		return err
	}
	return bus.Run(ctx) // publishes, handles and cleans up until ctx ends
}
