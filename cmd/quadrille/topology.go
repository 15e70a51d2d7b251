package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
)

func topologyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "topology", Short: "Show or declare the exchanges, queues and users on RabbitMQ"}
	addRetryDelays(cmd.PersistentFlags())
	cmd.AddCommand(topologyApplyCommand(), topologyShowCommand(), topologyDefinitionsCommand())
	return cmd
}

func topologyApplyCommand() *cobra.Command {
	var (
		url, ca string
		wait    time.Duration
	)
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Declare the exchanges, queues and bindings that are missing; change none that exist",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url == "" {
				return errors.New("missing broker: set --amqp-url or AMQP_URL")
			}
			all, err := parseTopologies(cmd.Flags())
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
			if err := transport.Declare(ctx, all...); err != nil {
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
	cmd.Flags().StringVar(&url, "amqp-url", os.Getenv("AMQP_URL"), "URL of the broker (AMQP_URL)")
	cmd.Flags().StringVar(&ca, "amqp-ca-file", os.Getenv("AMQP_CA_FILE"), caFileUsage)
	cmd.Flags().DurationVar(&wait, "wait", 2*time.Minute, "how long to wait for the broker")
	return cmd
}

func topologyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "List the subscriptions of all services, without a broker",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := parseTopologies(cmd.Flags())
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
}
