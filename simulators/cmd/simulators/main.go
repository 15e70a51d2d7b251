// Command sims runs the simulators of the outside world, a card processor and a carrier, until it is interrupted or told
// to terminate. "sims health" asks the ones that run with the same environment whether they live, and exits with 0 or 1.
//
// What can be set in the environment is documented at Config.
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
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		slog.Error("sims failed", "error", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
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
		return fmt.Errorf("unknown arguments %q: the only one is health", args)
	}
}
