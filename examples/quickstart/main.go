package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/glebarez/sqlite"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/inprocess"
	"gorm.io/gorm"
)

type Order struct {
	ID        uint
	Item      string
	Confirmed bool
}

type OrderPlaced struct{ ID, Item string }

func (OrderPlaced) EventType() string { return "order.placed.v1" }
func (e OrderPlaced) Subject() string { return e.ID } // events of one order keep their order

func main() {
	ctx, stop := context.WithCancel(context.Background())
	db, err := gorm.Open(sqlite.Open("file:shop.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_txlock=immediate"))
	check(err)
	broker := inprocess.NewBroker(inprocess.Config{})
	check(db.AutoMigrate(&Order{}))

	cfg := events.Config{Service: "shop", Events: []events.Declaration{{ETO: OrderPlaced{}, Publisher: "shop", Mandatory: true}}}
	confirm := events.Handle("confirm-order", func(ctx context.Context, tx *gorm.DB, e events.Received[OrderPlaced]) error {
		defer stop()
		fmt.Printf("order %s: confirmed %s\n", e.Event.ID, e.Event.Item)
		return tx.Model(&Order{}).Where("id = ?", e.Event.ID).Update("confirmed", true).Error
	})
	topology, err := events.NewTopology(cfg, confirm)
	check(errors.Join(err, events.Migrate(ctx, db), broker.Join(ctx, db, topology)))
	bus, err := events.New(db, broker.Transport(), cfg, confirm)
	check(err)
	check(db.Transaction(func(tx *gorm.DB) error {
		order := Order{Item: "teapot"}
		check(tx.Create(&order).Error)
		return events.Publish(ctx, tx, OrderPlaced{fmt.Sprint(order.ID), order.Item})
	}))
	check(bus.Run(ctx))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
