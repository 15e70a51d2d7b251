// Command testservers starts the PostgreSQL and RabbitMQ servers that tests need, and stops them again.
//
//	testservers exec -- COMMAND…    starts both, runs COMMAND with their addresses in its environment, and
//	                                exits with COMMAND's status
//	testservers serve [NAME…]       starts postgres, rabbitmq or (by default) both, prints their addresses as
//	                                one line of JSON, and stops them when its standard input ends; meanwhile
//	                                each line "stop", "kill" or "start" on standard input is carried out on all
//	                                of them and answered by one line of JSON
//
// A server is looked for in this order, and the search stops with one message that names every way:
//
//  1. an address in the environment (exec only): TEST_DATABASE_URL, TEST_AMQP_URL;
//  2. Docker, if an engine answers and the image is there or can be pulled within 30 seconds;
//  3. the programs postgres and rabbitmq-server on this machine, on free ports, in temporary folders;
//  4. the same, after scripts/install-test-servers has installed them (Debian, as root).
//
// TEST_SERVERS=env, docker or local allows one way only.
//
// Servers listen on the loopback interface, keep no data, and never outlive the process that asked for them: the
// end of that process, however it dies, ends standard input.
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
	// Whoever reads our output may be gone already; there is still tidying to do.
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
	switch command, rest := args[0], args[1:]; command {
	case "exec":
		if len(rest) > 0 && rest[0] == "--" {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return 0, errUsage
		}
		return execWith(context.Background(), rest)
	case "serve":
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		return 0, serve(ctx, rest, os.Stdin, os.Stdout)
	default:
		return 0, fmt.Errorf("unknown command %q; %w", command, errUsage)
	}
}
