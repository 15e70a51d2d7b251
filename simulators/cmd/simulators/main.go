// Command simulators runs the simulators of the external systems, a card processor and a carrier, until it receives
// SIGINT or SIGTERM. "simulators health" checks the simulators that run with the same environment, and exits with 0 or 1.
//
// Config documents the settings, which are environment variables.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		slog.Error("simulators failed", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	cfg, err := ConfigFromEnv(os.Getenv)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 0:
		return Run(ctx, cfg)
	case len(args) == 1 && args[0] == "health":
		return Health(ctx, cfg)
	default:
		return fmt.Errorf("unknown arguments %q: the only argument is health", args)
	}
}
