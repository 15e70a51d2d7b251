// Command inventory runs the inventory service on Postgres and RabbitMQ.
package main

import (
	"github.com/quadrille-dev/quadrille/pkg/chassis/program"
	"github.com/quadrille-dev/quadrille/services/inventory"
)

func main() { program.Main("inventory", inventory.Defaults(), inventory.Run) }
