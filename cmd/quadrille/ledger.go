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

	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/embedded"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
)

const ledgerHelp = `Check the whole shop from outside: the books of all services and simulators, and the broker's queues.

Exit status: 0 clean; 1 something does not add up, or, with --settled, something is still under way;
2 wrong usage; 3 clean as far as checked, but something could not be checked, or nothing could be told.`

type ledgerOptions struct {
	urls           map[string]*string // by party
	token          string
	amqpURL        string
	amqpCA         string
	brokerURL      string
	ladder         string
	orders         []string
	overdue        time.Duration
	confirm        time.Duration
	wait           time.Duration
	settled        bool
	json           bool
	every          time.Duration
	listen         string
	listenWasGiven bool
}

func ledgerCommand() *cobra.Command {
	var o ledgerOptions
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Check that nothing was lost and nothing done twice",
		Long:  ledgerHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.listenWasGiven = cmd.Flags().Changed("listen")
			cfg, closeBroker, err := o.config()
			if err != nil {
				return err
			}
			defer closeBroker()
			l := reconcile.New(cfg)
			defer l.Close()
			if o.every > 0 {
				err = watch(cmd.Context(), l, o.every, o.listen, cmd.ErrOrStderr())
			} else {
				err = checkOnce(cmd, l, o.json)
			}
			var status *exitError
			if err != nil && !errors.As(err, &status) {
				return &exitError{reconcile.StatusNotChecked, err} // 1 is for what does not add up
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	o.urls = shopFlags(f)
	// The two secrets have no default that --help would print.
	f.StringVar(&o.token, "token", "", "the operators' token (OPS_TOKEN)")
	f.StringVar(&o.amqpURL, "amqp-url", "", "the broker; without it, dead letters are not checked (AMQP_URL)")
	f.StringVar(&o.amqpCA, "amqp-ca-file", os.Getenv("AMQP_CA_FILE"), caFileUsage)
	f.StringVar(&o.brokerURL, "broker-url", os.Getenv("BROKER_OPS_URL"), "in the place of --amqp-url, the broker inside quadrille up (BROKER_OPS_URL)")
	f.StringVar(&o.ladder, "retry-ladder", os.Getenv("RETRY_DELAYS"), "as in topology apply; it names queues (RETRY_DELAYS)")
	f.StringSliceVar(&o.orders, "order", nil, "check only what concerns these orders; may be repeated")
	f.DurationVar(&o.overdue, "overdue", 15*time.Minute, "how long an order or an event may take to get on")
	f.BoolVar(&o.settled, "settled", false, "wait until nothing is under way, and fail if something still is")
	f.DurationVar(&o.wait, "wait", 15*time.Second, "how long to read the books again and again")
	f.DurationVar(&o.confirm, "confirm", 3*time.Second, "how long a mismatch must last to be a finding")
	f.BoolVar(&o.json, "json", false, "answer in JSON")
	f.DurationVar(&o.every, "every", 0, "run until stopped, check at this interval, and serve the outcome as metrics")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8085", "where to serve /metrics and /livez, with --every")
	return cmd
}

// config checks the options. It does not ask the broker for anything yet.
func (o ledgerOptions) config() (reconcile.Config, func(), error) {
	fail := func(format string, args ...any) (reconcile.Config, func(), error) {
		return reconcile.Config{}, nil, wrongUsage(format, args...)
	}
	cfg := reconcile.Config{
		URLs: map[string]string{}, Token: cmp.Or(o.token, os.Getenv("OPS_TOKEN")), Overdue: o.overdue, Confirm: o.confirm,
		Wait: o.wait, Settled: o.settled,
	}
	for _, p := range partyFlags {
		cfg.URLs[p.party] = *o.urls[p.party]
		if err := reconcile.CheckURL(cfg.URLs[p.party]); err != nil {
			return fail("--%s: %w", p.flag, err)
		}
	}
	for _, id := range o.orders {
		if id = strings.TrimSpace(id); id == "" {
			return fail("--order: an empty id")
		}
		cfg.Orders = append(cfg.Orders, id)
	}
	slices.Sort(cfg.Orders)
	cfg.Orders = slices.Compact(cfg.Orders)

	switch {
	case cfg.Token == "":
		return fail("which token? Give --token or OPS_TOKEN")
	case o.overdue <= 0:
		return fail("--overdue must be positive")
	case o.confirm < 0 || o.wait < o.confirm:
		return fail("--wait (%v) must not be shorter than --confirm (%v)", o.wait, o.confirm)
	case o.every < 0 || o.every > 0 && o.every < time.Second:
		return fail("--every must be at least 1s")
	case o.every > 0 && (o.json || o.settled):
		return fail("--every goes with neither --json nor --settled")
	case o.every == 0 && o.listenWasGiven:
		return fail("--listen needs --every")
	}
	var err error
	if cfg.Topologies, err = parseTopologies(o.ladder); err != nil {
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
			return embedded.AskQueues(ctx, o.brokerURL, cfg.Token)
		}
		return cfg, func() {}, nil
	case url == "":
		return cfg, func() {}, nil
	}
	transport, err := rabbitmq.New(url, rabbitmq.Config{Name: "ledger", CAFile: o.amqpCA})
	if err != nil {
		return fail("--amqp-url: %w", err)
	}
	cfg.Depths = func(ctx context.Context) (map[string]int, error) { return transport.Depths(ctx, cfg.Topologies...) }
	return cfg, func() { _ = transport.Close() }, nil // it holds nothing that could be lost
}

func checkOnce(cmd *cobra.Command, l *reconcile.Ledger, asJSON bool) error {
	report, err := l.Check(cmd.Context())
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped before the check was complete")
	}
	if err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(report)
	} else {
		err = report.WriteText(cmd.OutOrStdout())
	}
	if err != nil {
		return fmt.Errorf("the outcome cannot be told: %w", err)
	}
	if status := report.Status(); status != reconcile.StatusClean {
		return &exitError{status: status}
	}
	return nil
}
