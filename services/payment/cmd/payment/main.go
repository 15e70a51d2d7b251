// Command payment runs the payment service on Postgres and RabbitMQ.
package main

import (
	"github.com/quadrille-dev/quadrille/pkg/chassis/program"
	"github.com/quadrille-dev/quadrille/services/payment"
)

func main() { program.Main("payment", payment.Defaults(), payment.Run) }
