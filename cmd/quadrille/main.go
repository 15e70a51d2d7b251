// Command quadrille operates the shop: it declares what the services need on the broker.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "quadrille:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "quadrille",
		Short:         "Operate the Quadrille shop",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(topologyCommand())
	return root
}
