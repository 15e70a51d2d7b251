// Command testservers starts the PostgreSQL and RabbitMQ that tests need, and stops them again.
//
//	testservers exec -- COMMAND…    starts both, runs COMMAND with their addresses in its environment, and
//	                                exits with COMMAND's status
//	testservers serve [NAME…]       starts postgres, rabbitmq or (by default) both, and writes their addresses
//	                                as one line of JSON; executes the commands "stop", "kill" and "start", one
//	                                a line of its standard input, and replies to each with a line of JSON;
//	                                removes the servers when its standard input ends
//
// The package comment of verify/testservers describes where the servers come from. The files here follow that order:
// start.go tries one source after the other, testcontainers.go starts containers, local.go and local_*.go start
// programs of this machine.
//
// Servers listen on the loopback interface if they can, and keep no data. They never outlive the process that started
// this one: however that process ends, standard input ends with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

var errUsage = errors.New(`usage: testservers exec -- COMMAND [ARGUMENT...]
       testservers serve [postgres] [rabbitmq]`)

func main() {
	// The reader of the output may have been killed. The servers must be removed all the same.
	signal.Ignore(syscall.SIGPIPE)

	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testservers:", err)
		status = 1
	}
	os.Exit(status)
}

func run(args []string) (status int, err error) {
	if len(args) == 0 {
		return 0, errUsage
	}
	if err := checkSource(); err != nil {
		return 0, err
	}
	switch command, rest := args[0], args[1:]; command {
	case "exec":
		if len(rest) > 0 && rest[0] == "--" {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return 0, errUsage
		}
		return execute(context.Background(), rest)
	case "serve":
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		return 0, serve(ctx, rest, os.Stdin, os.Stdout)
	default:
		return 0, fmt.Errorf("unknown command %q; %w", command, errUsage)
	}
}
