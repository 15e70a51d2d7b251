package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quadrille-dev/quadrille/services/topology"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func topologyCommand() *cobra.Command {
	var ladder string
	cmd := &cobra.Command{Use: "topology", Short: "Exchanges, queues and bindings on RabbitMQ"}
	cmd.PersistentFlags().StringVar(&ladder, "retry-ladder", os.Getenv("RETRY_DELAYS"),
		"delays between the attempts of a reaction, separated by commas; all services must use the same (RETRY_DELAYS)")

	var (
		url, ca string
		wait    time.Duration
	)
	apply := &cobra.Command{
		Use:   "apply",
		Short: "Declare what is missing; change nothing that exists",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url == "" {
				return errors.New("which broker? Give --amqp-url or AMQP_URL")
			}
			all, err := parseTopologies(ladder)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			transport, err := rabbitmq.New(url, rabbitmq.Config{Name: "topology", CAFile: ca})
			if err != nil {
				return err
			}
			defer transport.Close()
			if err := transport.Apply(ctx, all...); err != nil {
				return err
			}
			queues := 0
			for _, t := range all {
				queues += len(t.Queues)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d services, %d subscriptions: declared\n", len(all), queues)
			return nil
		},
	}
	apply.Flags().StringVar(&url, "amqp-url", os.Getenv("AMQP_URL"), "the broker (AMQP_URL)")
	apply.Flags().StringVar(&ca, "amqp-ca-file", os.Getenv("AMQP_CA_FILE"), caFileUsage)
	apply.Flags().DurationVar(&wait, "wait", 2*time.Minute, "how long to wait for the broker")

	show := &cobra.Command{
		Use:   "show",
		Short: "List who subscribes to what; asks no broker",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := parseTopologies(ladder)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "EVENT\tPUBLISHER\tQUEUE")
			for _, t := range all {
				for _, q := range t.Queues {
					fmt.Fprintf(w, "%s\t%s\t%s\n", q.Type, q.Publisher, rabbitmq.QueueName(q))
				}
			}
			return w.Flush()
		},
	}
	cmd.AddCommand(apply, show, definitionsCommand())
	return cmd
}

const caFileUsage = "authorities that may vouch for an amqps:// broker, in PEM, instead of the system's (AMQP_CA_FILE)"

// parseTopologies reads the ladder; an empty one is the library's default.
func parseTopologies(ladder string) ([]transport.Topology, error) {
	delays, err := parseLadder(ladder)
	if err != nil {
		return nil, err
	}
	return topology.All(delays)
}
