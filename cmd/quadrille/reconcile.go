package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/embedded"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
)

const reconcileHelp = `Check a running stack over its HTTP interfaces. The command reads the audit snapshots of all services and simulators,
and the sizes of the broker's queues, and reports every contradiction. It changes nothing.
See docs/reconciliation.md for the rules.

Exit status:
  0  clean
  1  findings; or, with --settled, something is still under way
  2  wrong usage
  3  no findings, but not everything could be checked; or there is no report`

type reconcileOptions struct {
	urls      map[string]*string // by source
	token     string
	amqpURL   string
	amqpCA    string
	brokerURL string
	orders    []string
	overdue   time.Duration
	confirm   time.Duration
	wait      time.Duration
	settled   bool
	json      bool
	every     time.Duration
	listen    string
}

func reconcileCommand() *cobra.Command {
	var o reconcileOptions
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Check that nothing was lost and nothing happened twice",
		Long:  reconcileHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, closeBroker, err := o.config(cmd.Flags())
			if err != nil {
				return err
			}
			defer closeBroker()
			checker := reconcile.New(cfg)
			defer checker.Close()
			if o.every > 0 {
				err = reconcile.Watch(cmd.Context(), checker, o.every, o.listen, cmd.ErrOrStderr())
			} else {
				err = checkOnce(cmd, checker, o.json)
			}
			var status *exitError
			if err != nil && !errors.As(err, &status) {
				return &exitError{reconcile.StatusNotChecked, err} // status 1 is reserved for findings
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	o.urls = addURLFlags(f)
	// --help prints defaults, so the two secrets have none.
	f.StringVar(&o.token, "token", "", "operators' token (OPS_TOKEN)")
	f.StringVar(&o.amqpURL, "amqp-url", "", "URL of the broker; without it, dead letters are not checked (AMQP_URL)")
	f.StringVar(&o.amqpCA, "amqp-ca-file", os.Getenv("AMQP_CA_FILE"), caFileUsage)
	f.StringVar(&o.brokerURL, "broker-url", os.Getenv("BROKER_OPS_URL"), "URL of the broker inside quadrille up, instead of --amqp-url (BROKER_OPS_URL)")
	addRetryDelays(f)
	f.StringSliceVar(&o.orders, "order", nil, "check only these orders; may be repeated")
	f.DurationVar(&o.overdue, "overdue", 15*time.Minute, "how long an order or an event may wait")
	f.BoolVar(&o.settled, "settled", false, "wait until nothing is under way; fail if something still is")
	f.DurationVar(&o.wait, "wait", 15*time.Second, "how long to repeat the readings at most")
	f.DurationVar(&o.confirm, "confirm", 3*time.Second, "how long a contradiction must last to be a finding")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	f.DurationVar(&o.every, "every", 0, "check at this interval until stopped, and serve the results as metrics")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8085", "with --every, the address of /metrics and /livez")
	return cmd
}

// config validates the options. It does not connect to the broker yet.
func (o reconcileOptions) config(f *pflag.FlagSet) (reconcile.Config, func(), error) {
	fail := func(format string, args ...any) (reconcile.Config, func(), error) {
		return reconcile.Config{}, nil, wrongUsage(format, args...)
	}
	cfg := reconcile.Config{
		URLs: map[string]string{}, Token: cmp.Or(o.token, os.Getenv("OPS_TOKEN")), Overdue: o.overdue, Confirm: o.confirm,
		Wait: o.wait, Settled: o.settled,
	}
	for _, u := range urlFlags {
		cfg.URLs[u.source] = *o.urls[u.source]
		if err := reconcile.CheckURL(cfg.URLs[u.source]); err != nil {
			return fail("--%s: %w", u.flag, err)
		}
	}
	for _, id := range o.orders {
		if id = strings.TrimSpace(id); id == "" {
			return fail("--order: empty id")
		}
		cfg.Orders = append(cfg.Orders, id)
	}
	slices.Sort(cfg.Orders)
	cfg.Orders = slices.Compact(cfg.Orders)

	switch {
	case cfg.Token == "":
		return fail("missing token: set --token or OPS_TOKEN")
	case o.overdue <= 0:
		return fail("--overdue must be positive")
	case o.confirm < 0 || o.wait < o.confirm:
		return fail("--wait (%v) must not be shorter than --confirm (%v)", o.wait, o.confirm)
	case o.every < 0 || o.every > 0 && o.every < time.Second:
		return fail("--every must be at least 1s")
	case o.every > 0 && (o.json || o.settled):
		return fail("--every cannot be combined with --json or --settled")
	case o.every == 0 && f.Changed("listen"):
		return fail("--listen needs --every")
	}
	var err error
	if cfg.Topologies, err = parseTopologies(f); err != nil {
		return fail("%w", err)
	}
	url := cmp.Or(o.amqpURL, os.Getenv("AMQP_URL"))
	switch {
	case o.brokerURL != "" && o.amqpURL != "":
		return fail("--amqp-url and --broker-url exclude each other")
	case o.brokerURL != "":
		if err := reconcile.CheckURL(o.brokerURL); err != nil {
			return fail("--broker-url: %w", err)
		}
		cfg.Depths = func(ctx context.Context) (map[string]int, error) {
			return embedded.FetchQueues(ctx, o.brokerURL, cfg.Token)
		}
		return cfg, func() {}, nil
	case url == "":
		return cfg, func() {}, nil
	}
	transport, err := rabbitmq.New(url, rabbitmq.Config{Name: "reconcile", CAFile: o.amqpCA})
	if err != nil {
		return fail("--amqp-url: %w", err)
	}
	cfg.Depths = func(ctx context.Context) (map[string]int, error) { return transport.Depths(ctx, cfg.Topologies...) }
	return cfg, func() { _ = transport.Close() }, nil // nothing that it sends could be lost
}

func checkOnce(cmd *cobra.Command, checker *reconcile.Checker, asJSON bool) error {
	report, err := checker.Check(cmd.Context())
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped before the check was complete")
	}
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(cmd, report)
	} else {
		err = report.WriteText(cmd.OutOrStdout())
	}
	if err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	if status := report.Status(); status != reconcile.StatusClean {
		return &exitError{status: status}
	}
	return nil
}

func writeJSON(cmd *cobra.Command, v any) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
