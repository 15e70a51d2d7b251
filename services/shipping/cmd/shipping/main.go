// Command shipping runs the shipping service on Postgres and RabbitMQ.
package main

import (
	"context"
	"errors"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/services/shipping"
)

func main() { chassis.Main("shipping", shipping.Defaults(), run) }

func run(ctx context.Context, cfg shipping.Config) error {
	db, err := database.Open(ctx, cfg.DatabaseURL.Reveal(), database.Options{MaxConns: cfg.DatabaseMaxConns})
	if err != nil {
		return err
	}
	transport, err := rabbitmq.New(cfg.AMQPURL.Reveal(), rabbitmq.Config{Name: "shipping", CAFile: cfg.AMQPCAFile})
	if err != nil {
		return errors.Join(err, database.Close(db))
	}
	err = shipping.Run(ctx, cfg, db, transport)
	return errors.Join(err, transport.Close(), database.Close(db))
}
