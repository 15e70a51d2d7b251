// Command order runs the order service on Postgres and RabbitMQ.
package main

import (
	"github.com/quadrille-dev/quadrille/pkg/chassis/program"
	"github.com/quadrille-dev/quadrille/services/order"
)

func main() { program.Main("order", order.Defaults(), order.Run) }
