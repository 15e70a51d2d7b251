package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
)

type Order struct {
	ID        uint
	Confirmed bool
}

type OrderPlaced struct{ OrderID uint }

func (OrderPlaced) EventType() string { return "order.placed.v1" }
func (e OrderPlaced) Subject() string { return fmt.Sprint(e.OrderID) }

var placed = events.Declaration{ETO: OrderPlaced{}, Publisher: "shop", Mandatory: true}

func main() {
	ctx, stop := context.WithCancel(context.Background())
	confirm := events.Handle("confirm-order", func(_ context.Context, tx *gorm.DB, e events.Received[OrderPlaced]) error {
		fmt.Println("order", e.Event.OrderID, "is confirmed")
		stop() // the demonstration is over; Run finishes this handler first
		return tx.Model(&Order{ID: e.Event.OrderID}).Update("confirmed", true).Error
	})
	config := events.Config{Service: "shop", Events: []events.Declaration{placed}, DeclareTopology: true}
	db := must(gorm.Open(postgres.Open(os.Getenv("DATABASE_URL"))))
	check(db.AutoMigrate(&Order{}))
	check(events.Migrate(ctx, db))
	broker := must(rabbitmq.New(os.Getenv("AMQP_URL"), rabbitmq.Config{Name: "shop"}))
	defer broker.Close()
	bus := must(events.New(db, broker, config, confirm))
	check(db.Transaction(func(tx *gorm.DB) error {
		order := Order{}
		check(tx.Create(&order).Error)
		return events.Publish(ctx, tx, OrderPlaced{OrderID: order.ID}) // with the order, or not at all
	}))
	check(bus.Run(ctx)) // sends the event, and handles it
}

func must[T any](v T, err error) T { check(err); return v }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
