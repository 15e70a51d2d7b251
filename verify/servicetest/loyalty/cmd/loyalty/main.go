// Command loyalty runs the loyalty service on Postgres and RabbitMQ.
package main

import (
	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/program"
	"github.com/quadrille-dev/quadrille/verify/servicetest/loyalty"
)

func main() { program.Main("loyalty", chassis.Defaults(":8085"), loyalty.Run) }
