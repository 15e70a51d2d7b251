// Command shipping runs the shipping service on Postgres and RabbitMQ.
package main

import (
	"github.com/quadrille-dev/quadrille/pkg/chassis/program"
	"github.com/quadrille-dev/quadrille/services/shipping"
)

func main() { program.Main("shipping", shipping.Defaults(), shipping.Run) }
